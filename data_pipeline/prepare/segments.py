"""Segmentation of a stream of tracked frames into clips and discards."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from vasa_jax.perception.face_tracker import Seen
from vasa_jax.typing import Float

NO_FACE = "no face"
SEVERAL = "several people"
TOO_SHORT = "too short"


class Stretch(NamedTuple):
    """Frames start..stop (stop excluded) of a video: a clip to be, or a discard with its reason."""

    start: int
    stop: int
    # Pixels of the source of the one face, None for a discard.
    landmarks: Float[np.ndarray, "n 478 3"] | None = None
    reason: str = ""


def stretches(
    seen: Iterable[tuple[bool, Seen]], min_frames: int, max_frames: int
) -> Iterator[Stretch]:
    """Every frame of a video once, in order within clips; memory for one clip.

    seen: for every frame whether a shot begins with it, and what it shows. A clip stays within a
    shot and with one face that no frame lost, and is min_frames..max_frames long, where max_frames
    >= 2 min_frames. Between two counts of the faces a second one may have come unseen, so frames
    since the last count are given up when the next one finds several people.
    """
    run = _Run(min_frames, max_frames)
    number = -1
    for number, (cut, shown) in enumerate(seen):
        if cut or shown.fresh:
            yield from run.close(number)
        if shown.landmarks is None:
            yield from run.bad(number, NO_FACE)
        elif shown.people > 1:
            yield from run.give_up(number)
            yield from run.bad(number, SEVERAL)
        else:
            yield from run.good(number, shown.landmarks, shown.counted)
    yield from run.close(number + 1)
    yield from run.end_bad()


class _Run:
    """The open stretch: good frames, or bad ones of one reason."""

    def __init__(self, min_frames: int, max_frames: int):
        self._min, self._max = min_frames, max_frames
        self._frames: list[np.ndarray] = []
        self._sure = 0  # frames up to the last count
        self._bad: tuple[int, int, str] | None = None

    def good(self, number: int, landmarks: np.ndarray, counted: bool) -> Iterator[Stretch]:
        yield from self.end_bad()
        self._frames.append(landmarks)
        if counted:
            self._sure = len(self._frames)
        # As soon as the rest is sure to be long enough for a clip of its own.
        if self._sure >= self._max + self._min:
            yield self._cut(number + 1 - len(self._frames), self._max)

    def bad(self, number: int, reason: str) -> Iterator[Stretch]:
        yield from self.close(number)
        if self._bad is not None and self._bad[2] == reason and self._bad[1] == number:
            self._bad = (self._bad[0], number + 1, reason)
            return
        yield from self.end_bad()
        self._bad = (number, number + 1, reason)

    def give_up(self, number: int) -> Iterator[Stretch]:
        """Close the run at its last sure frame; what came after belongs to several people."""
        if not self._frames:
            return
        unsure = len(self._frames) - self._sure
        del self._frames[self._sure :]
        yield from self.close(number - unsure)
        if unsure:
            yield from self.end_bad()
            self._bad = (number - unsure, number, SEVERAL)

    def close(self, stop: int) -> Iterator[Stretch]:
        """End the run before frame `stop`; a long one gives two clips."""
        count = len(self._frames)
        if not count:
            return
        start = stop - count
        if count < self._min:
            yield Stretch(start, stop, None, TOO_SHORT)
            self._frames.clear()
        elif count <= self._max:
            yield self._cut(start, count)
        else:
            yield self._cut(start, count - count // 2)
            yield self._cut(stop - count // 2, count // 2)
        self._sure = 0

    def end_bad(self) -> Iterator[Stretch]:
        if self._bad is not None:
            start, stop, reason = self._bad
            self._bad = None
            yield Stretch(start, stop, None, reason)

    def _cut(self, start: int, count: int) -> Stretch:
        landmarks = np.stack(self._frames[:count])
        del self._frames[:count]
        self._sure = max(self._sure - count, 0)
        return Stretch(start, start + count, landmarks)
