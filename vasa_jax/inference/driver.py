"""Face crops of a driving video for the motion encoders, and their vectors as one motion."""

from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.inference.framing import (
    ENCODER_ROOM,
    VIEW_ROOM,
    Square,
    bridged,
    follow,
    refer,
    referred,
    square_around,
)
from vasa_jax.inference.portrait import cut_square, fitted_square
from vasa_jax.media.video import read_video
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.perception.shots import ShotDetector
from vasa_jax.typing import FPS, Float, Frames, PortraitArray

SEARCH_SECONDS = 2
"""A video without a face in its first seconds is refused."""
SEARCH_EVERY, SEARCH_AGAIN = FPS, 3
"""Frames between detections in the whole frame: while a face is tracked, while there is none."""
PRESENCE = 0.9
"""Least presence score of a tracked face: heads in profile score less than what detection asks."""
BLEND = 10
"""Frames in which a head moves from where it was lost to where it is found again (0.4 s)."""
MAX_LISTED = 4
"""Times of one kind that a note lists."""


class Driver:
    """The face of a video: iterate, encode what it yields, and ask for `motion` or `parts`.

    Iterating yields batches of up to `batch` crops (size, size, 3) at 25 fps, of frames with a face
    only. The crop is the square of the first face, in the proportions of a portrait, and stays
    while the face is well inside: a crop that followed the face would cancel the head's motion. It
    moves as little as necessary where the face slides out of it, and is chosen anew where the face
    jumps out of it (a cut). Poses are expressed in the first square, the view. A face that leaves
    the view moves the view as well, or starts a new one where it jumps, since no pose describes a
    head outside. Frames without a face are interpolated.

    split: each part has its own view, and a face that leaves it starts another part. Holds one
    batch of frames. Iterating raises UserError for an unreadable video and for one without a face
    in its first two seconds.
    """

    def __init__(
        self, path: Path, size: int, batch: int, limit: int | None = None, split: bool = False
    ):
        self._path, self._size, self._batch, self._limit = path, size, batch, limit
        self._split = split
        self._begin()

    def _begin(self) -> None:
        self.count = 0  # frames read
        self._numbers: list[int] = []  # of the frames with a face
        self._references: list[np.ndarray] = []  # of their crops in the view, see `refer`
        self._starts: list[int] = []  # first frames of parts
        self._cuts: list[int] = []  # frames at which the face jumps within the view,
        self._jumps: list[int] = []  # jumps out of it,
        self._slides: list[int] = []  # moves out of it
        self._squares: tuple[Square, Square] | None = None  # crop and view of the last face

    def __iter__(self) -> Iterator[Frames]:
        self._begin()
        crops = self._crops(islice(read_video(self._path), self._limit))
        while found := list(islice(crops, self._batch)):
            yield np.stack(found)

    def _crops(self, frames: Iterator[PortraitArray]) -> Iterator[PortraitArray]:
        tracker = FaceTracker(SEARCH_EVERY, again=SEARCH_AGAIN, fine=True, presence=PRESENCE)
        shots = ShotDetector()
        for frame in frames:
            cut = shots(frame)
            if cut:
                tracker.restart()
            seen = tracker(frame)
            number, self.count = self.count, self.count + 1
            if seen.landmarks is not None:
                crop = self._place(number, seen.landmarks, cut or seen.fresh, frame)
                yield cut_square(frame, np.array(crop[:2]), crop.side, self._size).image
            elif not self._numbers and self.count >= SEARCH_SECONDS * FPS:
                break
        if not self._numbers:
            raise UserError(
                f"{self._path}: no face found in the first {SEARCH_SECONDS} seconds; give a video "
                "that shows one from its start, and crop closer where it is small in the picture"
            )

    def _place(
        self, number: int, landmarks: np.ndarray, fresh: bool, frame: PortraitArray
    ) -> Square:
        """Choose the crop of a frame, and the view that its pose is expressed in."""
        follows = bool(self._numbers) and number == self._numbers[-1] + 1
        fresh = fresh or not follows
        around = square_around(landmarks)
        # The crop shows as much of the frame as it may; poses are expressed in the view.
        corner, side = fitted_square(frame, np.array(around[:2]), around.side)
        within = Square(float(corner[0]), float(corner[1]), side)
        if self._squares is None:
            crop, view = within, around
        elif fresh:
            crop, view = self._squares
            if follow(crop, landmarks, ENCODER_ROOM) is not crop:
                crop, anew = within, around
            else:
                anew = crop
            if self._split:
                view = anew
            elif follow(view, landmarks, VIEW_ROOM) is not view:
                crop, view = within, around
                self._jumps.append(number)
            elif follows:
                self._cuts.append(number)
        else:
            crop, last = self._squares
            crop = follow(crop, landmarks, ENCODER_ROOM)
            view = follow(last, landmarks, VIEW_ROOM)
            if view is not last and self._split:
                crop, view = within, around
                fresh = True
            elif view is not last:
                self._slides.append(number)
        self._squares = crop, view
        if fresh:
            self._starts.append(number)
        self._numbers.append(number)
        self._references.append(refer(crop, view))
        return crop

    def motion(self, rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "t m"]:
        """Motion of every frame, from the encoder's rows for the crops that were yielded."""
        motion = referred(rows, np.stack(self._references))
        return bridged(motion, np.array(self._numbers), self.count, BLEND)

    def parts(self, rows: Float[np.ndarray, "n m"]) -> list[tuple[int, Float[np.ndarray, "p m"]]]:
        """(first frame, motion) of each stretch in which the face is neither lost nor jumps."""
        motion = referred(rows, np.stack(self._references))
        edges = [*np.searchsorted(self._numbers, self._starts).tolist(), len(self._numbers)]
        return [(self._numbers[a], motion[a:b]) for a, b in pairwise(edges)]

    def breaks(self) -> str:
        """Where the video is split, and what is left out; "" for one whole part."""
        seen, found = set(self._numbers), []
        if starts := _moments([k for k in self._starts[1:] if k - 1 in seen]):
            found.append(f"the face jumps or leaves the view at {starts}")
        if gaps := _spans(self.gaps()):
            found.append(f"no face is seen from {gaps}")
        count = len(self._starts)
        parts = f"split into {count} parts" if count > 1 else "taken in part"
        return f"{parts}: {'; '.join(found)}" if found else ""

    def gaps(self) -> list[tuple[int, int]]:
        """Frames start..stop (stop excluded) without a face."""
        edges = [-1, *self._numbers, self.count]
        return [(a + 1, b) for a, b in pairwise(edges) if b > a + 1]

    def notes(self) -> list[str]:
        """Lines for the user, with times in seconds."""
        lines = (
            (_spans(self.gaps()), "no face is seen from {}: the head stays until it comes back"),
            (_moments(self._cuts), "the picture or the face jumps at {}, and so does the head"),
            (_moments(self._jumps), "the face jumps out of view at {}: the head is centred anew"),
            (_spans(_runs(self._slides)), "the face leaves the view from {}: the head is kept in"),
        )
        return [text.format(where) for where, text in lines if where]


def _moments(frames: list[int]) -> str:
    return _listed([f"{k / FPS:.2f} s" for k in frames])


def _spans(frames: list[tuple[int, int]]) -> str:
    return _listed([f"{a / FPS:.2f} to {b / FPS:.2f} s" for a, b in frames])


def _listed(words: list[str]) -> str:
    more = len(words) - MAX_LISTED
    return ", ".join(words[:MAX_LISTED]) + (f" and {more} times more" if more > 0 else "")


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Increasing frame numbers as stretches (first, last + 1); gaps below a second are closed."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number - runs[-1][1] < FPS:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs
