"""The labels of a clip: pose, gaze, distance, emotion, ARKit coefficients, points."""

from vasa_jax.data_pipeline.prepare.labels.protocols import (
    KINDS,
    FaceTrack,
    HeadPose,
    Labellers,
    parse_choices,
)

__all__ = ["KINDS", "FaceTrack", "HeadPose", "Labellers", "parse_choices"]
