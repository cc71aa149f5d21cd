"""Scores of talking-head videos of any system: `vasa-jax score` (VASA-1, section 4.2 and others).

`reading` decodes a video once, `metrics` measure it, `run` goes through the videos of all systems,
`table` and `report` say what was found.
"""
