"""Squares that reach beyond a picture: moved and shrunk as far as allowed, the rest continued.

What a picture does not show is its mirror image at the edge, the more blurred the farther it lies
outside: no edge is seen where it begins, and no face or stripe where it goes on.
"""

import cv2
import numpy as np

from vasa_jax.typing import Float, PortraitArray

__all__ = ["fitted", "outside", "sample", "soften"]

LEAST_SIDE = 0.89
"""Of the wanted side. At the usual side real portraits have a log scale of 0.185 (median of 37, by
`demo`'s encoder); the corpus's heads have up to 0.3: exp(0.185 - 0.3)."""
ASIDE, UP, DOWN = 0.08, 0.03, 0.10
"""How far the square may be moved, as a part of its side. Of the corpus's heads 95 % lie within
0.17 half pictures of the middle (x) and between -0.255 and 0.05 (y); portraits at 0 and -0.19. A
square that moves up puts the head lower: `UP` and `DOWN` are ways of the head."""
SLOPE = 0.2
"""Standard deviation of the blur over the distance from the picture."""
LEVELS = 6
"""Blurred pictures between which is interpolated; each of twice the blur of the one before."""
_EDGE = 1e-6


def fitted(
    corner: Float[np.ndarray, "2"],
    side: float,
    centre: tuple[float, float],
    width: int,
    height: int,
) -> tuple[Float[np.ndarray, "2"], float]:
    """The square moved, and then shrunk about `centre`, so that as little as possible lies outside
    of a picture of width x height pixels. A square inside is returned as it is.

    corner: left and top edge; the picture's first pixel has its outer edge at -1/2. centre: the
    point of the square that stays, as parts of its side.
    """
    corner, lengths = np.asarray(corner, float), np.array([width, height], float)
    low = -0.5
    if (corner >= low).all() and (corner + side <= lengths + low).all():
        return corner, side
    share = np.array(centre)
    point = corner + share * side
    # The square's corner may be so far before or after its usual place, in sides.
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
    """size x size pixels of an image, linearly, and its blurred mirror image beyond its edges.

    matrix: (2, 3), image pixel (x, y, 1) -> result pixel, scales and moves alone.
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
    """A picture that goes on as its mirror image, blurred there alone. far: see `outside`."""
    sharp = mirrored.astype(np.float32)
    least = SLOPE * max(float(far.max()), 1.0) / 2 ** (LEVELS - 1)
    # Level 0 is sharp, level k has a deviation of least 2^(k - 1).
    blur = SLOPE * far / least
    level = np.where(blur < 1, blur, 1 + np.log2(np.maximum(blur, 1)))[..., None]
    result, below = np.zeros_like(sharp), sharp
    for k in range(LEVELS + 1):
        if k:
            sigma = least * 2 ** (k - 1)
            below = cv2.GaussianBlur(sharp, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        result += np.clip(1 - np.abs(level - k), 0, 1) * below
    return np.where(far[..., None] > 0, np.round(result).astype(np.uint8), mirrored)


def outside(matrix: np.ndarray, width: int, height: int, size: int) -> Float[np.ndarray, "s s"]:
    """How far each result pixel's centre lies outside of the picture, in result pixels."""
    at = np.arange(size)
    away = []
    for axis, length in enumerate((width, height)):
        first, last = (matrix[axis, axis] * e + matrix[axis, 2] for e in (-0.5, length - 0.5))
        gap = np.maximum(0, np.maximum(first - at, at - last))
        away.append(np.where(gap > _EDGE * size, gap, 0))
    return np.hypot(away[0][None, :], away[1][:, None]).astype(np.float32)
