"""The labels of a clip: pose, gaze, distance, emotion, ARKit coefficients, points, masks."""

from vasa_jax.data_pipeline.prepare.labels.protocols import (
    KINDS,
    NUMBERS,
    FaceTrack,
    HeadPose,
    Labellers,
    parse_choices,
)

__all__ = ["KINDS", "NUMBERS", "FaceTrack", "HeadPose", "Labellers", "parse_choices"]
