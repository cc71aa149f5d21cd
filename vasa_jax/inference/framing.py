"""Squares around a face that moves: when one stays, when it follows, and what that does to a pose.

A pose is read in a square and counts in its half sides. The same head in another square has another
translation and size, but the same rotation.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.inference.portrait import FACE_SHARE, face_square
from vasa_jax.typing import LOG_SCALE, TRANSLATION, Float, Int


class Square(NamedTuple):
    """A square of a picture, in pixels: its left and top edge (the first pixel's outer edge is
    -1/2) and its side."""

    left: float
    top: float
    side: float


class Room(NamedTuple):
    """How a face may lie in a square: least and most, the side of its hull as a part of the
    square's; beyond, how far it may reach out of the square, as a part of the hull."""

    least: float
    most: float
    beyond: float


ENCODER_ROOM = Room(0.6 * FACE_SHARE, 1.6 * FACE_SHARE, 0.0)
"""Where the motion encoders see a face well: whole, and not far from the size they were shown."""
VIEW_ROOM = Room(np.exp(-1.0) * FACE_SHARE, 1.0, 0.1)
"""Where a head may be in the picture that a pose speaks of: nine tenths of the face's width and
height inside, as large as the picture at most, and not below the smallest of the pose encoder's
(`LOG_SCALE_LIMIT`). Trained decoders have seen no heads beyond."""


def square_around(landmarks: Float[np.ndarray, "478 3"]) -> Square:
    """The square that a portrait with this face would be cut to."""
    corner, side = face_square(landmarks)
    return Square(float(corner[0]), float(corner[1]), side)


def follow(square: Square, landmarks: Float[np.ndarray, "478 3"], room: Room) -> Square:
    """The square itself while the face has its place in it; else the nearest one where it has.

    It grows or shrinks about the face's middle first, and is moved then, as little as will do.
    """
    low, high = landmarks[:, :2].min(0).astype(float), landmarks[:, :2].max(0).astype(float)
    hull, middle = high - low, (low + high) / 2
    face = float(hull.mean())
    side = float(np.clip(square.side, face / room.most, face / room.least))
    start = middle + (np.array(square[:2]) - middle) * (side / square.side)
    out = room.beyond * hull
    first, last = high - out - side, low + out  # of the left or top edge
    # A hull longer than the square reaches beyond both of its edges alike.
    wide = first > last
    start = np.where(wide, middle - side / 2, np.clip(start, first, last))
    moved = Square(float(start[0]), float(start[1]), side)
    return square if np.allclose(moved, square, rtol=0, atol=1e-6 * side) else moved


def refer(seen: Square, view: Square) -> Float[np.ndarray, "3"]:
    """(r, x, y): a pose with translation t and log scale s read in `seen` has in `view` the
    translation r t + (x, y, 0) and the log scale s + log r."""
    ratio = seen.side / view.side
    # The way between the squares' middles, in half sides of the view; of one square exactly 0.
    shift = (np.array(seen[:2]) - np.array(view[:2])) * 2 / view.side + ratio - 1
    return np.array([ratio, *shift])


def referred(
    motion: Float[np.ndarray, "t m"], references: Float[np.ndarray, "t 3"]
) -> Float[np.ndarray, "t m"]:
    """Motion whose poses were read in squares of their own, as seen in one view (`refer`)."""
    moved = np.array(motion)
    moved[:, TRANSLATION] *= references[:, :1]
    moved[:, TRANSLATION][:, :2] += references[:, 1:]
    moved[:, LOG_SCALE] += np.log(references[:, :1])
    return moved


def bridged(
    motion: Float[np.ndarray, "n m"], frames: Int[np.ndarray, " n"], count: int, blend: int
) -> Float[np.ndarray, "t m"]:
    """Motion of `count` frames from that of some, whose numbers are `frames`, increasing.

    Over a gap the head stays as it was last, and goes to where it comes back in the gap's last
    `blend` frames, by a smooth step. Before the first and after the last it stays.
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
