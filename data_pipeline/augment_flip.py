"""Horizontal flips of labels: x changes its sign, left and right exchange.

For arrays of numpy and of JAX alike.
"""

import numpy as np

from vasa_jax.angles import MIRRORED_ROTATION, MIRRORED_TRANSLATION
from vasa_jax.typing import ARKIT, Array, Float

SWAPPED_POINTS = np.array([1, 0, 2, 4, 3])


def _mirrored(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


SWAPPED_ARKIT = np.array([ARKIT.index(_mirrored(name)) for name in ARKIT])


def flip_rotation(rotation: Float[np.ndarray | Array, "*n 3"]) -> Float[np.ndarray | Array, "*n 3"]:
    """(pitch, yaw, roll)."""
    return rotation * np.array(MIRRORED_ROTATION, rotation.dtype)


def flip_translation(
    translation: Float[np.ndarray | Array, "*n 3"],
) -> Float[np.ndarray | Array, "*n 3"]:
    return translation * np.array(MIRRORED_TRANSLATION, translation.dtype)


def flip_gaze(gaze: Float[np.ndarray | Array, "*n 2"]) -> Float[np.ndarray | Array, "*n 2"]:
    return gaze * np.array([-1, 1], gaze.dtype)


def flip_points(points: Float[np.ndarray | Array, "*n 5 2"]) -> Float[np.ndarray | Array, "*n 5 2"]:
    """Five face points in ArcFace's order (left and right of the picture), as shares."""
    mirrored = points[..., SWAPPED_POINTS, :]
    return mirrored * np.array([-1, 1], points.dtype) + np.array([1, 0], points.dtype)


def flip_arkit(arkit: Float[np.ndarray | Array, "*n 52"]) -> Float[np.ndarray | Array, "*n 52"]:
    return arkit[..., SWAPPED_ARKIT]


def flip_flow(flow: Float[np.ndarray | Array, "*n h w c"]) -> Float[np.ndarray | Array, "*n h w c"]:
    """Pictures whose first two channels are places (x, y) in another, as shares; both mirrored."""
    signs, ones = np.ones(flow.shape[-1], flow.dtype), np.zeros(flow.shape[-1], flow.dtype)
    signs[0], ones[0] = -1, 1
    return flow[..., ::-1, :] * signs + ones
