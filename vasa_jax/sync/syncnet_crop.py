"""The face crop that SyncNet is shown, from the landmarks of the face mesh network.

As `run_pipeline.py` of joonson/syncnet_python crops a track: the box's centre and half size are
median-filtered over 13 frames, the frame is padded with grey (110), and a square of 2.8 half sizes
is cut, 1.4 to either side of the centre, 1.0 above and 1.8 below, then resized to 224 px.

Its boxes are S3FD's, which was not at hand; ours go round the hull of the mesh. SC and SD move a
little with the box, as they do with the codec. Tracks shorter than 100 frames and faces below
100 px, which the original drops, are left to the caller.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from vasa_jax.sync.lips import fill_gaps
from vasa_jax.typing import Float, PortraitArray, UInt8

__all__ = ["SIDE", "crop_faces", "face_boxes", "smooth_boxes"]

SIDE = 224
GREY = 110
MARGIN = 0.4
"""cs of the original: how far the crop goes beyond the box, in half sizes."""
KERNEL = 13
_WIDER = 0.06
"""Of the hull's width, that our boxes go beyond it on each side, since the mesh ends at the edge of
the face. A choice: S3FD's boxes were not at hand to fit it to."""


def face_boxes(landmarks: Float[np.ndarray, "t 478 3"]) -> Float[np.ndarray, "t 4"]:
    """Left, top, right, bottom of the face in each frame, pixels; gaps are drawn through."""
    points = fill_gaps(np.asarray(landmarks, np.float64)[..., :2])
    low, high = points.min(1), points.max(1)
    beside = _WIDER * (high - low)[:, :1] * np.array([1.0, 0.0])
    return np.concatenate([low - beside, high + beside], 1)


def smooth_boxes(boxes: Float[np.ndarray, "t 4"]) -> Float[np.ndarray, "t 3"]:
    """Centre x, centre y and half size of each frame, median-filtered (zeros beyond the ends, as
    scipy's medfilt has them)."""
    from scipy.signal import medfilt  # slow to import

    half = np.maximum(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]) / 2
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    columns = np.column_stack([middle, half])
    return np.stack([medfilt(column, KERNEL) for column in columns.T], 1)


def crop_faces(
    frames: Iterable[PortraitArray], boxes: Float[np.ndarray, "t 4"]
) -> Iterator[UInt8[np.ndarray, "224 224 3"]]:
    """The crop of each frame, one at a time, as many as there are boxes."""
    for frame, (x, y, half) in zip(frames, smooth_boxes(boxes), strict=False):
        yield _cut(frame, float(x), float(y), float(half))


def _cut(frame, x, y, half):
    pad = int(half * (1 + 2 * MARGIN))
    padded = np.pad(frame, ((pad, pad), (pad, pad), (0, 0)), constant_values=GREY)
    x, y = x + pad, y + pad
    top, bottom = int(y - half), int(y + half * (1 + 2 * MARGIN))
    left, right = int(x - half * (1 + MARGIN)), int(x + half * (1 + MARGIN))
    face = padded[max(top, 0) : bottom, max(left, 0) : right]
    if not face.size:  # a face without a size
        return np.full((SIDE, SIDE, 3), GREY, np.uint8)
    return cv2.resize(face, (SIDE, SIDE))
