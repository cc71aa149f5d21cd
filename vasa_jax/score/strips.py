"""The strip of a video in the contact sheets: frames over enlarged mouths."""

import cv2
import numpy as np

from vasa_jax.perception.face_statistics import INNER_LIPS
from vasa_jax.score.types import Track
from vasa_jax.typing import Float, PortraitArray, UInt8

TIMES = 8
"""Frames of a strip."""
TILE = 128
MARGIN = 2.2
"""Width of a mouth's picture over that of the inner lips."""


def mouth_crop(
    frame: PortraitArray, landmarks: Float[np.ndarray, "478 3"], side: int = TILE
) -> UInt8[np.ndarray, "s s 3"]:
    """A square about the inner lips."""
    points = landmarks[list(INNER_LIPS), :2]
    low, high = points.min(0), points.max(0)
    half = max(MARGIN / 2 * float((high - low).max()), 2.0)
    scale = side / (2 * half)
    shift = side / 2 - scale * (low + high) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    return cv2.warpAffine(
        frame, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def fitted(frame: PortraitArray, side: int = TILE) -> UInt8[np.ndarray, "s s 3"]:
    """A whole picture within a square, grey beside it."""
    height, width = frame.shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    tile = np.full((side, side, 3), 128, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(frame, size, interpolation=way)
    return tile


def strip(track: Track) -> UInt8[np.ndarray, "h w 3"]:
    """Up to `TIMES` of the kept frames, evenly chosen, above the mouths of the same frames."""
    wanted = np.linspace(0, len(track.numbers) - 1, TIMES).round().astype(int)
    rows = np.full((2 * TILE, TIMES * TILE, 3), 255, np.uint8)
    found = track.faces.found()
    for column, place in enumerate(dict.fromkeys(wanted.tolist())):
        frame, number = track.stills[place], track.numbers[place]
        across = slice(column * TILE, (column + 1) * TILE)
        rows[:TILE, across] = fitted(frame)
        if found[number]:
            rows[TILE:, across] = mouth_crop(frame, track.landmarks[number])
    return rows
