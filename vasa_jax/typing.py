"""Array aliases and the structs that pass between the rooms of the library.

Shapes are written once here, in jaxtyping's algebra; tests check every annotated function through
jaxtyping's import hook (`--jaxtyping-packages=vasa_jax,beartype.beartype`), so no decorator is
needed and running code pays nothing. Structs are NamedTuples: they are pytrees of their own
accord, and jaxtyping never checks them while JAX rebuilds them with tracers or placeholders.

Axis letters: b batch, h w d space, c channels, t time (25 fps frames), n samples (16 kHz).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int8, Key, UInt, UInt8

__all__ = [
    "ARKIT",
    "EMOTIONS",
    "FPS",
    "LOG_SCALE",
    "POSE_DIM",
    "ROTATION",
    "SAMPLES_PER_FRAME",
    "SAMPLE_RATE",
    "TRANSLATION",
    "Array",
    "AudioFeatures",
    "Bool",
    "Float",
    "Frames",
    "Grid",
    "Image",
    "Int",
    "Int8",
    "Key",
    "Motion",
    "MotionVector",
    "PortraitArray",
    "Pose",
    "Source",
    "UInt",
    "UInt8",
    "Volume",
    "Waveform",
]

FPS = 25
SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
POSE_DIM = 7
ROTATION, TRANSLATION, LOG_SCALE = slice(0, 3), slice(3, 6), slice(6, POSE_DIM)
"""Where the parts of a pose stand in a vector of motion."""
EMOTIONS = (
    "anger",
    "contempt",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
)
"""HSEmotion's eight classes in its order: the axes of the emotion condition."""
ARKIT = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight",
    "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft",
    "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""ARKit's 52 face coefficients, MediaPipe's order (it lacks tongueOut); left is the person's."""

Image = Float[Array, "b h w 3"]
"""RGB in [0, 1], channels last."""
Volume = Float[Array, "b d h w c"]
Grid = Float[Array, "b d h w 3"]
"""Sampling positions (x, y, z) in [-1, 1], align_corners=True; (x, y, z) index (w, h, d)."""
Waveform = Float[Array, "b n"]
"""Mono at 16 kHz in [-1, 1]."""
AudioFeatures = Float[Array, "b t a"]
"""Audio features at 25 Hz, one per video frame."""
MotionVector = Float[Array, "b t m"]
"""[pose (7), z_dyn] per frame: rotation, translation, log scale, then the dynamics code."""
Frames = UInt8[np.ndarray, "t h w 3"]
PortraitArray = UInt8[np.ndarray, "_ _ 3"]


class Pose(NamedTuple):
    """Rigid head pose z_pose: canonical point p goes to exp(log_scale) * R p + translation.

    rotation: (b, 3) Euler angles (pitch, yaw, roll) in radians, R = Rz(roll) Ry(yaw) Rx(pitch).
    translation: (b, 3) in the volume's normalised units (the cube is [-1, 1] on each axis).
    log_scale: (b, 1) natural logarithm of the uniform scale.
    """

    rotation: Float[Array, "*b 3"]
    translation: Float[Array, "*b 3"]
    log_scale: Float[Array, "*b 1"]


class Motion(NamedTuple):
    """What moves: head pose and facial dynamics (VASA-1 section 3.1, z_pose and z_dyn)."""

    pose: Pose
    dyn: Float[Array, "*b dyn"]


class Source(NamedTuple):
    """What stays: the canonical appearance volume V_app and the identity code z_id."""

    volume: Volume
    identity: Float[Array, "b s s c"]
    pose: Pose | None = None
    """The portrait's own."""
    extension: Any = None
    """What an extension keeps of the portrait (`vasa_jax.extensions.face_model`)."""
