"""CAPP: Contrastive Audio and Pose Pretraining (VASA-1, section 4.2), a metric of how well the
motion of a head goes with the sound.

The paper's weights are not published, and neither are its pose parametrisation, widths, pooling,
loss and stride. What it says is kept; the rest is ours and stands in `vasa_jax.config.capp` and in
the docstrings here. So a score compares systems, with one network; it is not the paper's figure.
"""
