"""Reads a video once: landmarks and measurements of every frame, its sound, a few frames."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.errors import UserError
from vasa_jax.evaluation.face_analysis import FaceReader
from vasa_jax.evaluation.i3d import prepare
from vasa_jax.media.audio import open_audio
from vasa_jax.media.video import probe, read_video
from vasa_jax.media.writer import VideoWriter
from vasa_jax.score.codec import CRF
from vasa_jax.score.types import Track
from vasa_jax.typing import Float, Frames, PortraitArray

RUN = 25
"""Frames of each run that a video network sees (VASA-1, section 4.2)."""


class Thinned:
    """Items at evenly spaced numbers 0, s, 2 s, ... of a stream whose length is not known.

    At least `least` of them, and at most twice as many, are kept once there are that many: the
    spacing s doubles whenever more come together.
    """

    def __init__(self, least: int):
        self._least, self.spacing = least, 1
        self.numbers: list[int] = []
        self.items: list = []

    def wants(self, number: int) -> bool:
        """Whether `add` keeps the item of this number."""
        return number % self.spacing == 0

    def add(self, number: int, item: object) -> None:
        """The items of the numbers that are wanted, in order."""
        self.numbers.append(number)
        self.items.append(item)
        if len(self.items) > 2 * self._least:
            self.spacing *= 2
            kept = [i for i, n in enumerate(self.numbers) if self.wants(n)]
            self.numbers = [self.numbers[i] for i in kept]
            self.items = [self.items[i] for i in kept]


Features = Callable[[Float[np.ndarray, "n t 224 224 3"]], Float[np.ndarray, "n k"]]


class ReadOptions(NamedTuple):
    """What is kept of a video besides measurements."""

    stills: int = 16  # frames at least, and at most twice as many
    runs: int = 8  # the same of runs of 25 frames, where there is a network for them
    features: Features | None = None  # of videos in [-1, 1] at 224 px


class Reader:
    """Makes a `Track` of a video's frames, which are given in order. labellers: loaded ones."""

    def __init__(self, labellers: Labellers, options: ReadOptions):
        self._faces = FaceReader(labellers)
        self._stills, self._runs = Thinned(options.stills), Thinned(max(options.runs, 1))
        self._features = options.features
        self._run: list[np.ndarray] = []
        self._count, self._size = 0, (0, 0)

    def add(self, frames: Iterable[PortraitArray]) -> None:
        """The next frames, (h, w, 3) uint8 RGB, all of one size."""
        for frame in frames:
            self._faces.add([frame])
            self._size = (frame.shape[1], frame.shape[0])
            if self._stills.wants(self._count):
                self._stills.add(self._count, frame)
            run, place = divmod(self._count, RUN)
            if self._features is not None and self._runs.wants(run):
                self._run.append(prepare(frame[None, None])[0, 0])
                if place == RUN - 1:
                    self._runs.add(run, np.stack(self._run))
                    self._run = []
            self._count += 1

    def finish(self, waveform: Float[np.ndarray, " n"] | None) -> Track:
        """The track, of one frame at least, with its sound."""
        read = self._faces.finish()
        features = None
        if self._features is not None and self._runs.items:
            features = np.concatenate([self._features(run[None]) for run in self._runs.items])
        return Track(
            size=self._size,
            landmarks=read.landmarks,
            faces=read.measurements,
            waveform=waveform,
            numbers=tuple(self._stills.numbers),
            stills=np.stack(self._stills.items),
            features=features,
        )


def read_track(
    path: Path,
    labellers: Labellers,
    options: ReadOptions,
    advance: Callable[[int], None] = lambda n: None,
    copy: Path | None = None,
) -> Track:
    """A video's track, by one decode. advance: called with the number of frames that were read.

    copy: a file to be written with all frames in the fixed codec, for networks that see more than
    a few of them. Raises UserError for what cannot be decoded.
    """
    info = probe(path)
    reader = Reader(labellers, options)
    width, height = (side // 2 * 2 for side in (info.width, info.height))  # as 4:2:0 needs
    with ExitStack() as stack:
        writer = None
        if copy is not None:
            writer = stack.enter_context(VideoWriter(copy, width, height, crf=CRF))
        for frame in read_video(path):
            reader.add([frame])
            if writer is not None:
                writer.write(frame[None, :height, :width])
            advance(1)
    track = reader.finish(_sound(path) if info.has_audio else None)
    return track._replace(copy=copy)


def _sound(path: Path) -> Float[np.ndarray, " n"] | None:
    """The whole sound; None where it is broken or too short to be one."""
    try:
        return np.asarray(open_audio(path, stored=True).waveform, np.float32)
    except UserError:
        return None


def track_of_frames(
    frames: Frames,
    waveform: Float[np.ndarray, " n"] | None,
    labellers: Labellers,
    options: ReadOptions,
) -> Track:
    """The track of a video in memory."""
    reader = Reader(labellers, options)
    reader.add(frames)
    return reader.finish(waveform)
