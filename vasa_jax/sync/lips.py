"""The lips of a face in the axes of its head, from the 478 landmarks of the face mesh network.

What is left after a rigid fit of the upper face is what the mouth does, whatever the head does; the
unit is the centimetre of MediaPipe's mean head.
"""

import numpy as np

from vasa_jax.perception.similarity import weighted_similarity
from vasa_jax.typing import Float

__all__ = ["POINTS", "align_lips", "fill_gaps", "mirrored", "without_mean"]

_RIGHT = (
    *(61, 146, 91, 181, 84, 185, 40, 39, 37, 78, 95, 88, 178, 87, 191, 80, 81, 82),
    *(148, 176, 205),
)
_LEFT = (
    *(291, 375, 321, 405, 314, 409, 270, 269, 267, 308, 324, 318, 402, 317, 415, 310, 311, 312),
    *(377, 400, 425),
)
_MIDDLE = (0, 13, 14, 17, 152, 199, 200)
POINTS = (*_RIGHT, *_LEFT, *_MIDDLE)
"""The mesh network's 40 lip points (MediaPipe's FACEMESH_LIPS), six of the chin and two of the
cheeks with their middles: those at the person's right, their mirror images, the middle line."""
SPAN = 151
"""Frames (six seconds) whose mean a feature is taken against, see `without_mean`."""

_RIGID = {  # x right of the picture, y down, z away; a head that looks into the camera
    33: (-4.446, -2.664, -3.173, 1.0),
    133: (-1.856, -2.585, -3.758, 1.0),
    127: (-7.743, -2.365, 2.005, 0.3),
    162: (-7.556, -4.107, 0.992, 0.3),
    54: (-6.279, -6.615, -1.426, 0.3),
    67: (-3.524, -8.006, -3.729, 0.3),
    263: (4.446, -2.664, -3.173, 1.0),
    362: (1.856, -2.585, -3.758, 1.0),
    356: (7.743, -2.365, 2.005, 0.3),
    389: (7.556, -4.107, 0.992, 0.3),
    284: (6.279, -6.615, -1.426, 0.3),
    297: (3.524, -8.006, -3.729, 0.3),
    10: (0.0, -8.262, -4.482, 0.3),
    168: (0.0, -3.271, -5.236, 1.0),
    6: (0.0, -2.473, -5.789, 1.0),
    197: (0.0, -1.728, -6.317, 1.0),
    195: (0.0, -1.059, -6.775, 1.0),
    5: (0.0, -0.366, -7.243, 1.0),
    4: (0.0, 0.463, -7.587, 1.0),
}
"""Points of MediaPipe's canonical face (Apache-2.0) that no expression moves much: eye corners,
nose, forehead, temples; the place in centimetres, and the weight in the fit."""


def align_lips(landmarks: Float[np.ndarray, "t 478 3"]) -> Float[np.ndarray, "t p 3"]:
    """`POINTS` in the head's axes, centimetres; landmarks in pixels, z too. NaN stays NaN."""
    table = np.array(list(_RIGID.values()))
    points = np.asarray(landmarks, np.float64)
    seen = np.isfinite(points).all((1, 2))
    aligned = np.full((len(points), len(POINTS), 3), np.nan)
    if seen.any():
        found = points[seen]
        rotation, scale, shift = weighted_similarity(
            table[:, :3], found[:, list(_RIGID)], table[:, 3]
        )
        centred = found[:, list(POINTS)] - shift[:, None]
        # Row vectors, so R^-1 p = p R.
        aligned[seen] = centred @ rotation / np.maximum(scale, 1e-6)[:, None, None]
    return aligned.astype(np.float32)


def mirrored(lips: Float[np.ndarray, "t p 3"]) -> Float[np.ndarray, "t p 3"]:
    """The lips of the mirrored face."""
    side = len(_RIGHT)
    order = [*range(side, 2 * side), *range(side), *range(2 * side, len(POINTS))]
    return lips[:, order] * np.array([-1, 1, 1], lips.dtype)


def fill_gaps(values: Float[np.ndarray, "*t"]) -> Float[np.ndarray, "*t"]:
    """Frames that hold a NaN, drawn through linearly in time; zeros where no frame is whole."""
    flat = values.reshape(len(values), -1)
    seen = np.isfinite(flat).all(1)
    if seen.all():
        return values
    if not seen.any():
        return np.zeros_like(values)
    at, known = np.arange(len(flat)), np.flatnonzero(seen)
    low = np.searchsorted(known, at, side="right").clip(1, len(known)) - 1
    high = np.minimum(low + 1, len(known) - 1)
    width = np.maximum(known[high] - known[low], 1)
    share = ((at - known[low]) / width).clip(0, 1)[:, None]
    filled = (1 - share) * flat[known[low]] + share * flat[known[high]]
    return filled.astype(values.dtype).reshape(values.shape)


def without_mean(values: Float[np.ndarray, "t f"], span: int = SPAN) -> Float[np.ndarray, "t f"]:
    """Each frame less the mean of the `span` frames around it, fewer at the ends: what a face or a
    voice always has tells nothing of when it moves."""
    total = np.cumsum(np.pad(values.astype(np.float64), ((1, 0), (0, 0))), 0)
    at = np.arange(len(values))
    low, high = np.maximum(at - span // 2, 0), np.minimum(at + span // 2 + 1, len(values))
    mean = (total[high] - total[low]) / (high - low)[:, None]
    return (values - mean).astype(np.float32)
