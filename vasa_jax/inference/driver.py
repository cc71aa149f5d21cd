"""The face of a driving video as the motion encoders want it, and its way back into one motion."""

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
"""How far into a clip a face is looked for."""
SEARCH_EVERY, SEARCH_AGAIN = FPS, 3
"""Frames between two searches of the whole picture: where a face is followed, where there is
none."""
PRESENCE = 0.9
"""Least presence of a face that is followed: heads that turn far away have less than those that
are searched for, and a place that a face has left has next to none."""
BLEND = 10
"""Frames in which a head goes from where it was lost to where it is found again (0.4 s)."""
TOLD = 4
"""Moments of one kind that a note names."""


class Driver:
    """The face of a video: iterate, encode what it yields, and ask for `motion` or `parts`.

    Iterating gives batches of up to `batch` frames at 25 fps, those with a face alone, cut to
    size x size around it. The square is that of the first face, in the proportions of a portrait,
    and stays while the face lies in it well: one that followed the face would take the head's own
    motion away. It gives way as far as it must where the face slides out of it, and a new square is
    taken where the face jumps (a cut) beyond it; the pose is then expressed in the first square,
    the view. A face that leaves even the view takes it along, since no pose says where such a head
    is: the view gives way, or begins anew where the face jumps. Frames without a face are bridged.

    split: each part has a view of its own, and a face that leaves it begins another part.
    Memory is a batch of frames and some numbers a frame. Iterating raises UserError for an
    unreadable video and one without a face in its first two seconds.
    """

    def __init__(
        self, path: Path, size: int, batch: int, limit: int | None = None, split: bool = False
    ):
        self._path, self._size, self._batch, self._limit = path, size, batch, limit
        self._split = split
        self._begin()

    def _begin(self) -> None:
        self.count = 0
        self._numbers: list[int] = []  # of the frames with a face
        self._references: list[np.ndarray] = []
        self._starts: list[int] = []  # frames with which a part begins
        self._cuts: list[int] = []  # frames at which the face jumps within the view,
        self._jumps: list[int] = []  # or out of it,
        self._slides: list[int] = []  # and at which it moves out of it
        self._seen: Square | None = None
        self._view: Square | None = None

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
                self._place(number, seen.landmarks, cut or seen.fresh, frame)
                left, top, side = self._seen
                yield cut_square(frame, np.array([left, top]), side, self._size).image
            elif not self._numbers and self.count >= SEARCH_SECONDS * FPS:
                break
        if not self._numbers:
            raise UserError(
                f"{self._path}: no face found in the first {SEARCH_SECONDS} seconds; give a video "
                "that shows one from its start, and crop closer where it is small in the picture"
            )

    def _place(self, number: int, landmarks: np.ndarray, fresh: bool, frame: PortraitArray) -> None:
        """Choose the square of a frame and the view it belongs to."""
        follows = bool(self._numbers) and number == self._numbers[-1] + 1
        fresh = fresh or not follows
        around = square_around(landmarks)
        # What the encoder sees shows the picture as far as it may; poses count in the view.
        corner, side = fitted_square(frame, np.array(around[:2]), around.side)
        within = Square(float(corner[0]), float(corner[1]), side)
        if self._seen is None:
            self._seen, self._view = within, around
        elif fresh:
            if follow(self._seen, landmarks, ENCODER_ROOM) is not self._seen:
                self._seen, anew = within, around
            else:
                anew = self._seen
            if self._split:
                self._view = anew
            elif follow(self._view, landmarks, VIEW_ROOM) is not self._view:
                self._seen, self._view = within, around
                self._jumps.append(number)
            elif follows:
                self._cuts.append(number)
        else:
            self._seen = follow(self._seen, landmarks, ENCODER_ROOM)
            view = follow(self._view, landmarks, VIEW_ROOM)
            if view is not self._view and self._split:
                self._seen, view = within, around
                fresh = True
            elif view is not self._view:
                self._slides.append(number)
            self._view = view
        if fresh:
            self._starts.append(number)
        self._numbers.append(number)
        self._references.append(refer(self._seen, self._view))

    def motion(self, rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "t m"]:
        """Motion of every frame, from the encoder's rows for the frames that were yielded."""
        motion = referred(rows, np.stack(self._references))
        return bridged(motion, np.array(self._numbers), self.count, BLEND)

    def parts(self, rows: Float[np.ndarray, "n m"]) -> list[tuple[int, Float[np.ndarray, "p m"]]]:
        """The stretches in which the face is never lost and makes no jump: the first frame, and
        the motion of as many as there are."""
        motion = referred(rows, np.stack(self._references))
        edges = [*np.searchsorted(self._numbers, self._starts).tolist(), len(self._numbers)]
        return [(self._numbers[a], motion[a:b]) for a, b in pairwise(edges)]

    def breaks(self) -> str:
        """Where the video is split, and what is left out; "" where it is one part, and whole."""
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
        """What the user should know, with its moments in seconds."""
        words = (
            (_spans(self.gaps()), "no face is seen from {}: the head stays until it comes back"),
            (_moments(self._cuts), "the picture or the face jumps at {}, and so does the head"),
            (_moments(self._jumps), "the face jumps out of view at {}: the head is centred anew"),
            (_spans(_runs(self._slides)), "the face leaves the view from {}: the head is kept in"),
        )
        return [text.format(where) for where, text in words if where]


def _moments(frames: list[int]) -> str:
    return _listed([f"{k / FPS:.2f} s" for k in frames])


def _spans(frames: list[tuple[int, int]]) -> str:
    return _listed([f"{a / FPS:.2f} to {b / FPS:.2f} s" for a, b in frames])


def _listed(words: list[str]) -> str:
    more = len(words) - TOLD
    return ", ".join(words[:TOLD]) + (f" and {more} times more" if more > 0 else "")


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Frame numbers, in order, as stretches (first, last + 1); a second's pause ends none."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number - runs[-1][1] < FPS:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs
