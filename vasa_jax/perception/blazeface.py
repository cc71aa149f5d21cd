"""BlazeFace, short range: decoding of its anchors, tiling of large pictures, suppression.

Plain NumPy on boxes; the network itself runs in `face_detector`. Source: "BlazeFace:
Sub-millisecond Neural Face Detection on Mobile GPUs" (Bazarevsky et al. 2019), sections 3-4, and
the input and output layout of MediaPipe's face_detection_short_range model.

A candidate is a row of 17 numbers in photo pixels: box (x, y, w, h), six key points (x, y) in the
order right eye, left eye, nose, mouth, right ear, left ear (the person's own sides), score.
"""

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vasa_jax.typing import PortraitArray

INPUT_SIZE = 128
MIN_SCORE = 0.5
OVERLAP = 0.3
"""Intersection over union from which two candidates are one face (MediaPipe's value)."""

SHARES = (0.6, 0.4, 0.2, 0.1, 0.05)
"""Sides of the searched squares of a photo, level by level. The network finds faces from about an
eighth of its square on."""

Candidates = Float[np.ndarray, "_ 17"]
Box = tuple[float, float, float, float]


def _anchors() -> Float[np.ndarray, "896 2"]:
    """Centres (x, y) in [0, 1]: two per cell of a 16 x 16 grid, then six per cell of an 8 x 8."""
    layers = []
    for cells, per_cell in ((16, 2), (8, 6)):
        centre = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centre, centre, indexing="ij")
        layers.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(layers).astype(np.float32)


ANCHORS = _anchors()


def decode(
    regressors: Float[np.ndarray, "896 16"],
    logits: Float[np.ndarray, " 896"],
    square: tuple[float, float, float],
    min_score: float = MIN_SCORE,
) -> Candidates:
    """Candidates above `min_score` in photo pixels.

    regressors: box centre, size and key points in input pixels, relative to the anchor's centre.
    square: (left, top, side) in photo pixels of the square that the network saw.
    """
    left, top, side = square
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    keep = scores >= min_score
    points = regressors[keep].reshape(-1, 8, 2) / INPUT_SIZE
    points[:, [0, 2, 3, 4, 5, 6, 7]] += ANCHORS[keep, None]
    points *= side
    points[:, 0] -= points[:, 1] / 2
    points[:, [0, 2, 3, 4, 5, 6, 7]] += (left, top)
    return np.concatenate([points.reshape(-1, 16), scores[keep, None]], axis=1)


def squares(height: int, width: int, level: int) -> list[tuple[float, float, float]]:
    """Overlapping squares (left, top, side) that cover a photo of height x width pixels.

    level 0: the whole photo padded to a square; 1 to 5: squares of `SHARES` of the long side, 2, 3,
    7, 13 and 27 a side on a square photo; -1: the photo with a margin of half its size, for a face
    that fills the picture.
    """
    long = max(height, width)
    if level <= 0:
        side = long * (1.0 if level == 0 else 2.0)
        return [((width - side) / 2, (height - side) / 2, side)]
    side = long * SHARES[level - 1]
    return [(x, y, side) for y in _starts(height, side) for x in _starts(width, side)]


def _starts(length: int, side: float) -> list[float]:
    if length <= side:
        return [(length - side) / 2]
    # A quarter of overlap: a face up to that size lies whole in at least one square.
    count = math.ceil((length - side) / (0.75 * side)) + 1
    return [float(v) for v in np.linspace(0, length - side, count)]


def cut(image: PortraitArray, square: tuple[float, float, float]) -> UInt8[np.ndarray, "s s 3"]:
    """The square of the photo at the network's input size; black outside of the photo."""
    left, top, side = round(square[0]), round(square[1]), max(round(square[2]), 1)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    inside = image[y0:y1, x0:x1]
    out = np.zeros((INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    if not inside.size:  # a square of less than a pixel, rounded away
        return out
    # Shrink the photo's part first and pad then: no full-size padded copy of a large photo.
    scale = INPUT_SIZE / side
    a, b = min(round((x0 - left) * scale), INPUT_SIZE - 1), round((x1 - left) * scale)
    c, d = min(round((y0 - top) * scale), INPUT_SIZE - 1), round((y1 - top) * scale)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (max(b - a, 1), max(d - c, 1))
    out[c : c + size[1], a : a + size[0]] = cv2.resize(inside, size, interpolation=method)
    return out


def box_of(candidate: Float[np.ndarray, "17"]) -> Box:
    """Left, top, width and height of a row of candidates, in pixels."""
    x, y, w, h = (float(v) for v in candidate[:4])
    return x, y, w, h


def overlap(a: Box, b: Box) -> tuple[float, float]:
    """Intersection over union, and intersection over the smaller box, of two (x, y, w, h)."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(w, 0.0) * max(h, 0.0)
    areas = a[2] * a[3], b[2] * b[3]
    if min(areas) <= 0:
        return 0.0, 0.0
    return common / (areas[0] + areas[1] - common), common / min(areas)


def suppress(candidates: Candidates) -> Candidates:
    """Weighted non-maximum suppression, best score first.

    Each group of overlapping candidates becomes their mean weighted by score, which jitters less
    from frame to frame than the best one alone (BlazeFace, section 4.3). It keeps the best score.
    """
    rest = candidates[np.argsort(-candidates[:, 16], kind="stable")]
    kept = []
    while len(rest):
        best = box_of(rest[0])
        same = np.array([overlap(best, box_of(row))[0] for row in rest])
        same = same > OVERLAP
        same[0] = True  # an empty box overlaps nothing, not even itself
        group = rest[same]
        weights = group[:, 16:]
        mean = (group[:, :16] * weights).sum(0) / weights.sum()
        kept.append(np.append(mean, rest[0, 16]))
        rest = rest[~same]
    return np.stack(kept).astype(np.float32) if kept else np.zeros((0, 17), np.float32)
