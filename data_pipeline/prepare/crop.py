"""One fixed square crop per clip, so that head motion stays in the clip."""

from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax.inference.continuation import outside, soften
from vasa_jax.typing import Float, PortraitArray

FACE_SHARE = 0.54
FACE_CENTRE = (0.50, 0.52)
"""Mean side of the face's hull as a part of the box's side, and where its centre lies: measured on
VASA-1's published clips."""
MARGIN = 0.1
"""Least room, as a part of the hull's side, that every frame's hull keeps to the box's edge; above
the hull, which ends at the brow, a whole forehead (`HEAD`)."""
HEAD = 0.25


class Box(NamedTuple):
    """A square of the source: left and top edge and side, whole pixels; may reach outside."""

    left: int
    top: int
    side: int


def fixed_box(
    landmarks: Float[np.ndarray, "n 478 3"],
    height: int,
    width: int,
    jitter: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Box:
    """The box of a clip whose face has these landmarks, in a picture of height x width pixels.

    The box has the proportions above for the clip's mean hull (its side times exp(u), u uniform in
    +-jitter), grows until it holds the face of every frame, and moves, or shrinks as far as that
    allows, to stay inside of the picture.
    """
    low, high = landmarks[..., :2].min(1).astype(float), landmarks[..., :2].max(1).astype(float)
    face = float((high - low).mean())
    side = face / FACE_SHARE
    if jitter:
        side *= float(np.exp((rng or np.random.default_rng(0)).uniform(-jitter, jitter)))
    least = low.min(0) - face * np.array([MARGIN, HEAD])
    most = high.max(0) + face * MARGIN
    need = float((most - least).max())
    side = max(min(max(side, need), min(height, width)), need)
    centre = (low + high).mean(0) / 2
    start = centre - np.array(FACE_CENTRE) * side
    start = np.clip(start, most - side, least)
    for axis, length in enumerate((width, height)):
        if side <= length:
            start[axis] = np.clip(start[axis], 0, length - side)
        else:
            start[axis] = (length - side) / 2
    left, top = np.round(start)
    side = min(round(side), min(height, width)) if side <= min(height, width) else round(side)
    return Box(int(left), int(top), int(side))


def face_side(landmarks: Float[np.ndarray, "n 478 3"]) -> float:
    """Mean side of the face's hull over a clip, pixels."""
    return float((landmarks[..., :2].max(1) - landmarks[..., :2].min(1)).mean())


def outside_share(box: Box, height: int, width: int) -> float:
    """The part of the box that lies outside of the picture."""
    inner = [
        max(0, min(start + box.side, length) - max(start, 0))
        for start, length in ((box.left, width), (box.top, height))
    ]
    return 1.0 - inner[0] * inner[1] / box.side**2


def cut(frame: PortraitArray, box: Box, size: int) -> PortraitArray:
    """The square as size x size pixels; beyond the picture's edges its mirror image, blurred, as
    portraits go on at inference (`vasa_jax.inference.continuation`).

    Edges stay edges: source edge e lies at (e - start) * size / side.
    """
    height, width = frame.shape[:2]
    before = [max(0, -box.top), max(0, -box.left)]
    after = [max(0, box.top + box.side - height), max(0, box.left + box.side - width)]
    inner = frame[max(box.top, 0) : box.top + box.side, max(box.left, 0) : box.left + box.side]
    method = cv2.INTER_AREA if box.side > size else cv2.INTER_CUBIC
    if not any(before + after):
        return cv2.resize(inner, (size, size), interpolation=method)
    inner = cv2.copyMakeBorder(
        inner, before[0], after[0], before[1], after[1], cv2.BORDER_REFLECT_101
    )
    whole = cv2.resize(inner, (size, size), interpolation=method)
    scale = size / box.side
    left, top = (scale * (0.5 - start) - 0.5 for start in (box.left, box.top))
    far = outside(np.array([[scale, 0, left], [0, scale, top]]), width, height, size)
    return soften(whole, far)


def to_crop(
    landmarks: Float[np.ndarray, "n 478 3"], box: Box, size: int
) -> Float[np.ndarray, "n 478 3"]:
    """Landmarks in pixels of the cut picture, whose first pixel's centre is 0 as in the source."""
    scale = size / box.side
    start = np.array([box.left, box.top])
    moved = landmarks * np.float32(scale)
    moved[..., :2] = (landmarks[..., :2] + 0.5 - start) * scale - 0.5
    return moved.astype(np.float32)
