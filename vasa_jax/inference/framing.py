"""Square crops around a moving face: when they stay, when they follow, and how poses change.

A pose is measured in a crop, in units of half its side. The same head in another crop has another
translation and size, but the same rotation.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.inference.portrait import FACE_SHARE, face_square
from vasa_jax.typing import LOG_SCALE, TRANSLATION, Float, Int


class Square(NamedTuple):
    """A square of an image in pixels; the outer edge of the first pixel is at -1/2."""

    left: float
    top: float
    side: float


class Room(NamedTuple):
    """Bounds on a face in a square."""

    least: float  # side of the face's hull over the square's
    most: float
    beyond: float  # part of the hull that may lie outside


ENCODER_ROOM = Room(0.6 * FACE_SHARE, 1.6 * FACE_SHARE, 0.0)
"""For the motion encoders: the whole face, near the size that they were trained on."""
VIEW_ROOM = Room(np.exp(-1.0) * FACE_SHARE, 1.0, 0.1)
"""For the view that poses are expressed in, as decoders know heads: nine tenths of the face inside,
at most as large as the view, at least as the pose encoder's smallest (`LOG_SCALE_LIMIT`)."""


def square_around(landmarks: Float[np.ndarray, "478 3"]) -> Square:
    """The crop of a portrait with this face."""
    corner, side = face_square(landmarks)
    return Square(float(corner[0]), float(corner[1]), side)


def follow(square: Square, landmarks: Float[np.ndarray, "478 3"], room: Room) -> Square:
    """The square itself while the face is within `room`; else the nearest one for which it is.

    It is scaled about the face's centre first, then moved, both as little as necessary.
    """
    low, high = landmarks[:, :2].min(0).astype(float), landmarks[:, :2].max(0).astype(float)
    hull, middle = high - low, (low + high) / 2
    face = float(hull.mean())
    side = float(np.clip(square.side, face / room.most, face / room.least))
    start = middle + (np.array(square[:2]) - middle) * (side / square.side)
    out = room.beyond * hull
    first, last = high - out - side, low + out  # positions of the left or top edge
    # A hull longer than the square reaches beyond both of its edges alike.
    wide = first > last
    start = np.where(wide, middle - side / 2, np.clip(start, first, last))
    moved = Square(float(start[0]), float(start[1]), side)
    return square if np.allclose(moved, square, rtol=0, atol=1e-6 * side) else moved


def refer(seen: Square, view: Square) -> Float[np.ndarray, "3"]:
    """(r, x, y): translation t and log scale s measured in `seen` are r t + (x, y, 0) and s + log r
    in `view`."""
    ratio = seen.side / view.side
    # Between the squares' centres, in half sides of the view; exactly 0 for equal squares.
    shift = (np.array(seen[:2]) - np.array(view[:2])) * 2 / view.side + ratio - 1
    return np.array([ratio, *shift])


def referred(
    motion: Float[np.ndarray, "t m"], references: Float[np.ndarray, "t 3"]
) -> Float[np.ndarray, "t m"]:
    """Motion whose poses were measured in squares of their own, expressed in one view (`refer`)."""
    moved = np.array(motion)
    moved[:, TRANSLATION] *= references[:, :1]
    moved[:, TRANSLATION][:, :2] += references[:, 1:]
    moved[:, LOG_SCALE] += np.log(references[:, :1])
    return moved


def bridged(
    motion: Float[np.ndarray, "n m"], frames: Int[np.ndarray, " n"], count: int, blend: int
) -> Float[np.ndarray, "t m"]:
    """Motion of `count` frames from that of some of them, whose numbers `frames` increase.

    In a gap the last motion is held, then blended by a smooth step to the next one over the gap's
    last `blend` frames. Before the first and after the last it is held.
    """
    numbers = np.arange(count)
    after = np.searchsorted(frames, numbers)
    before = np.clip(np.searchsorted(frames, numbers, side="right") - 1, 0, None)
    after = np.clip(after, None, len(frames) - 1)
    start, stop = frames[before], frames[after]
    length = np.minimum(stop - start, blend + 1)
    share = np.clip(1 - (stop - numbers) / np.maximum(length, 1), 0, 1)[:, None]
    share = np.where((stop > start)[:, None], share**2 * (3 - 2 * share), 0)
    whole = motion[before] + share * (motion[after] - motion[before])
    return whole.astype(motion.dtype)
