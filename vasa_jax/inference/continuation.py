"""Square crops that reach beyond an image: moved and shrunk a little, the rest padded.

Padding is the image mirrored at its edge, blurred in proportion to the distance from it: no seam is
visible at the edge, and no second face or stripes beyond.
"""

import cv2
import numpy as np

from vasa_jax.typing import Float, PortraitArray

__all__ = ["fitted", "outside", "sample", "soften"]

LEAST_SIDE = 0.89
"""Least side over the wanted one: heads as large as `demo` was trained on, exp(0.185 - 0.3), from
real portraits' median log scale (37 portraits) to the corpus's largest."""
ASIDE, UP, DOWN = 0.08, 0.03, 0.10
"""Most that the head may move in the square, over its side: 95 % of the corpus's heads lie within
that of where portraits have theirs."""
SLOPE = 0.2
"""Standard deviation of the blur over the distance from the image."""
LEVELS = 6
"""Blurred images to interpolate between, each with twice the blur of the one before."""
_EDGE = 1e-6


def fitted(
    corner: Float[np.ndarray, "2"],
    side: float,
    centre: tuple[float, float],
    width: int,
    height: int,
) -> tuple[Float[np.ndarray, "2"], float]:
    """The square moved, then shrunk about `centre`, so that as little as possible lies outside of
    an image of width x height pixels. A square inside is returned as it is.

    corner: left and top edge; the outer edge of the image's first pixel is at -1/2. centre: the
    fixed point of the square, in sides.
    """
    corner, lengths = np.asarray(corner, float), np.array([width, height], float)
    low = -0.5
    if (corner >= low).all() and (corner + side <= lengths + low).all():
        return corner, side
    share = np.array(centre)
    point = corner + share * side
    # Most that the corner may move to the left or top, and to the right or bottom, in sides.
    before, after = np.array([ASIDE, DOWN]), np.array([ASIDE, UP])
    most = min(
        lengths.min(),
        ((point - low) / (share - after)).min(),
        ((lengths + low - point) / (1 - share - before)).min(),
    )
    side = float(min(side, max(LEAST_SIDE * side, most)))
    wanted, room = point - share * side, lengths + low - side
    start = np.clip(wanted, np.minimum(low, room), np.maximum(low, room))
    return np.clip(start, wanted - before * side, wanted + after * side), side


def sample(image: PortraitArray, matrix: Float[np.ndarray, "2 3"], size: int) -> PortraitArray:
    """size x size pixels of an image by linear interpolation, padded beyond its edges.

    matrix: image pixel (x, y, 1) -> result pixel, scale and translation only.
    """

    def look_up(border: int) -> PortraitArray:
        return cv2.warpAffine(
            image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border
        )

    plain = look_up(cv2.BORDER_REPLICATE)
    far = outside(matrix, image.shape[1], image.shape[0], size)
    if not far.any():
        return plain
    sharp = look_up(cv2.BORDER_REFLECT_101)
    sharp[far == 0] = plain[far == 0]
    return soften(sharp, far)


def soften(mirrored: PortraitArray, far: Float[np.ndarray, "s s"]) -> PortraitArray:
    """A mirror-padded image, blurred in the padding. far: see `outside`."""
    sharp = mirrored.astype(np.float32)
    least = SLOPE * max(float(far.max()), 1.0) / 2 ** (LEVELS - 1)
    # Level 0 is sharp, level k has a deviation of least 2^(k - 1).
    blur = SLOPE * far / least
    level = np.where(blur < 1, blur, 1 + np.log2(np.maximum(blur, 1)))[..., None]
    result: np.ndarray = np.zeros_like(sharp)
    below: np.ndarray = sharp
    for k in range(LEVELS + 1):
        if k:
            sigma = least * 2 ** (k - 1)
            below = cv2.GaussianBlur(sharp, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        result += np.clip(1 - np.abs(level - k), 0, 1) * below
    return np.where(far[..., None] > 0, np.round(result).astype(np.uint8), mirrored)


def outside(matrix: np.ndarray, width: int, height: int, size: int) -> Float[np.ndarray, "s s"]:
    """Distance of each result pixel's centre from the image, in result pixels; 0 inside."""
    at = np.arange(size)
    away = []
    for axis, length in enumerate((width, height)):
        first, last = (matrix[axis, axis] * e + matrix[axis, 2] for e in (-0.5, length - 0.5))
        gap = np.maximum(0, np.maximum(first - at, at - last))
        away.append(np.where(gap > _EDGE * size, gap, 0))
    return np.hypot(away[0][None, :], away[1][:, None]).astype(np.float32)
