"""The eight orientations of a stored image, numbered as in EXIF (TIFF 6.0, tag 274)."""

from collections.abc import Sequence

import numpy as np

from vasa_jax.typing import UInt8

__all__ = ["SWAPPED", "UPRIGHT", "orientation_of_matrix", "turn"]

UPRIGHT = 1
SWAPPED = (5, 6, 7, 8)
"""Orientations whose width is the upright picture's height."""

# (a, b, c, d) of ISO/IEC 14496-12: stored (x, y) is shown at (a x + c y, b x + d y), y down.
_MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def orientation_of_matrix(matrix: Sequence[int]) -> int:
    """The orientation, 1 to 8, that is nearest to a video's display matrix.

    matrix: its nine numbers row by row, as FFmpeg has them: a, b, u, c, d, v, x, y, w. A turn by
    another angle than a quarter is rounded; scales do not matter; all zeros mean upright.
    """
    a, b, _, c, d, *_ = (float(value) for value in matrix)
    fits = {
        number: sum(p * q for p, q in zip((a, b, c, d), wanted, strict=True))
        for number, wanted in _MATRICES.items()
    }
    return max(fits, key=fits.__getitem__)  # the first of equals, so upright if all are 0


def turn(pixels: UInt8[np.ndarray, "h w c"], orientation: int) -> UInt8[np.ndarray, "a b c"]:
    """A stored picture made upright, contiguous; orientations other than 1 to 8 are left alone."""
    if orientation in SWAPPED:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
