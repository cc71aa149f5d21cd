"""Evaluation (VASA-1, section 4): metrics, experiments and their report.

Experiments: `reenactment`, `disentanglement`, `audio_driven` and `controllability`; `run` runs all.
Metrics: `image_metrics`, `identity_metrics`, `pose_metrics`, `lip_sync`, and `frechet` with `i3d`.
`face_analysis` measures the frames, `held_out` reads the data; `types` says what each is given.
"""
