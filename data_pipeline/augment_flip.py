"""What a mirrored picture does to its labels: x changes its sign, left and right their names."""

import numpy as np

from vasa_jax.angles import MIRRORED_ROTATION, MIRRORED_TRANSLATION
from vasa_jax.typing import ARKIT, Float

SWAPPED_POINTS = (1, 0, 2, 4, 3)


def _mirrored(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


SWAPPED_ARKIT = tuple(ARKIT.index(_mirrored(name)) for name in ARKIT)


def flip_rotation(rotation: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """(pitch, yaw, roll)."""
    return rotation * np.array(MIRRORED_ROTATION, rotation.dtype)


def flip_translation(translation: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return translation * np.array(MIRRORED_TRANSLATION, translation.dtype)


def flip_gaze(gaze: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
    return gaze * np.array([-1, 1], gaze.dtype)


def flip_points(points: Float[np.ndarray, "*n 5 2"]) -> Float[np.ndarray, "*n 5 2"]:
    """Five face points in ArcFace's order (left and right of the picture), as shares."""
    mirrored = points[..., list(SWAPPED_POINTS), :].copy()
    mirrored[..., 0] = 1 - mirrored[..., 0]
    return mirrored


def flip_arkit(arkit: Float[np.ndarray, "*n 52"]) -> Float[np.ndarray, "*n 52"]:
    return arkit[..., list(SWAPPED_ARKIT)]
