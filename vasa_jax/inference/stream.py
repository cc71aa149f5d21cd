"""Online generation: sound comes in blocks, frames go out while the speaker is still talking.

A window of motion is sampled as soon as its sound is there, and decoded in batches of the config's
`inference.decode_batch`. Carry, keys and programs are those of the offline path, so that the same
features, sound and seed give the same video. Features differ from the offline ones only where an
encoder looks further than `lookahead`, or takes statistics over the whole clip (wav2vec2, whisper):
here they see the recent sound alone. Nor is the level of a quiet or a loud recording known before
it was heard: it is that of the sound so far.
"""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from vasa_jax.audio.digest import sound_digest
from vasa_jax.audio.level import LevelMeter
from vasa_jax.audio.protocol import num_frames
from vasa_jax.errors import UserError
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.request import Controls
from vasa_jax.typing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Float, Frames, Source

__all__ = [
    "AudioWindows",
    "HeardWindow",
    "MotionWindows",
    "Piece",
    "cut",
    "default_lookahead",
    "stream",
    "warm_up",
]

DEFAULT_CONTROLS = Controls()
LOOKAHEAD = 5
"""Frames of sound awaited past a window's end by encoders that see a whole chunk (0.2 s)."""


class HeardWindow(NamedTuple):
    """A window of sound. features: (t <= w, a). digest: of its samples, see
    `vasa_jax.audio.digest`."""

    features: Float[np.ndarray, "t a"]
    digest: int


class Piece(NamedTuple):
    """Some neighbouring frames, with two readings of `time.perf_counter`.

    heard: when the last sound that their window needs had arrived. made: when the frames lay in
    host memory. made - heard is the latency.
    """

    frames: Frames
    heard: float
    made: float


def default_lookahead(pipeline: Pipeline) -> int:
    """Frames past a window's end that its features need: the encoder's reach, where it has one."""
    if pipeline.sound_reach is None:
        return LOOKAHEAD
    return pipeline.sound_reach


class AudioWindows:
    """Blocks of 16 kHz sound in, whole windows of features out; the last may be shorter.

    lookahead: frames of sound past a window's end that are waited for (None: `default_lookahead`).
    The result does not depend on how the sound is cut into blocks. Memory does not grow.
    """

    def __init__(self, pipeline: Pipeline, lookahead: int | None = None):
        self._pipeline, self._window = pipeline, pipeline.config.motion.window
        self._right = default_lookahead(pipeline) if lookahead is None else lookahead
        reach = pipeline.sound_reach
        overlap = round(pipeline.config.audio.overlap_seconds * FPS)
        self._left = overlap if reach is None else reach
        if self._right < 0:
            raise ValueError(f"lookahead {self._right} must not be negative")
        # What is kept: the context of a chunk, and for encoders that normalise a clip, more.
        self._keep = self._left if reach is not None else self._history()
        self._sound = np.zeros(0, np.float32)
        self._dropped, self._next = 0, 0  # frames forgotten, first frame of the next window
        self._level, self._measured = LevelMeter(), 0  # samples that it has taken

    def _history(self) -> int:
        return max(self._left, round(self._pipeline.config.audio.chunk_seconds * FPS))

    def push(self, samples: Float[np.ndarray, " n"]) -> Iterator[HeardWindow]:
        """Take a block of samples in [-1, 1]; yields the windows that are now ready.

        Raises UserError for samples that are not finite.
        """
        if not np.isfinite(samples).all():
            raise UserError("the sound has samples that are not finite; check where it comes from")
        self._sound = np.concatenate([self._sound, np.asarray(samples, np.float32)])
        return self._ready()

    def finish(self) -> Iterator[HeardWindow]:
        """The sound is over: yields what is left, the last window with its own length."""
        total = self._dropped + num_frames(len(self._sound))
        while self._next < total:
            yield self._take(min(self._next + self._window, total))

    def _ready(self) -> Iterator[HeardWindow]:
        heard = self._dropped + len(self._sound) // SAMPLES_PER_FRAME
        while self._next + self._window + self._right <= heard:
            yield self._take(self._next + self._window)

    def _take(self, last: int) -> HeardWindow:
        """Frames [next, last); then forget what no later window needs."""
        here, there = ((frame - self._dropped) * SAMPLES_PER_FRAME for frame in (self._next, last))
        digest = sound_digest(self._sound[here:there])
        first = max(self._next - self._left, self._dropped)
        begin = (first - self._dropped) * SAMPLES_PER_FRAME
        # Exactly the promised sound, though more may be there: blocks must not change the result.
        end = min((last + self._right - self._dropped) * SAMPLES_PER_FRAME, len(self._sound))
        self._measure(end)
        sound = self._pipeline.prepare_sound(self._sound[:end], self._level.gain)[begin:]
        size = (self._left + self._window + self._right) * SAMPLES_PER_FRAME
        row = np.zeros((1, size), np.float32)
        row[0, : len(sound)] = sound
        features = self._pipeline.hear(row, len(sound))[0, self._next - first : last - first]
        self._next = last
        forget = max(last - self._keep - self._dropped, 0)
        self._sound = self._sound[forget * SAMPLES_PER_FRAME :]
        self._dropped += forget
        return HeardWindow(features, digest)

    def _measure(self, end: int) -> None:
        """Let the meter hear everything up to sample `end` of what is kept, once."""
        start = self._measured - self._dropped * SAMPLES_PER_FRAME
        self._level.add(self._sound[start:end])
        self._measured += end - start


class MotionWindows:
    """Features (t <= w, a) of one window after another in, motion (t, m) ready to decode out.

    What it gives equals `Pipeline.generate_motion` of the whole clip with the same sound and seed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source | None,
        controls: Controls = DEFAULT_CONTROLS,
        seed: int = 0,
        pose: Float[np.ndarray, "t 7"] | None = None,
    ):
        self._stream = pipeline.motion_stream([source], [controls], [seed], [pose], windows=1)

    def __call__(
        self, features: Float[np.ndarray, "t a"], digest: int = 0
    ) -> Float[np.ndarray, "t m"]:
        """The motion of the next window; a window of fewer frames than w must be the last."""
        return self._stream([features], [np.array([digest], np.uint32)])[0]


def stream(
    pipeline: Pipeline,
    source: Source,
    blocks: Iterable[Float[np.ndarray, " n"]],
    controls: Controls = DEFAULT_CONTROLS,
    seed: int = 0,
    pose: Float[np.ndarray, "t 7"] | None = None,
    lookahead: int | None = None,
) -> Iterator[Piece]:
    """Frames of a clip whose sound arrives in `blocks` (16 kHz, mono, any lengths), in order.

    source: from `pipeline.encode`. A block is drawn only when all frames of the blocks before have
    been taken, so the consumer sets the pace. Clips end as offline: ceil(samples / 640) frames.
    The first frames of a clip come when its first window (motion.window frames) has been heard;
    call `warm_up` before, or they also wait for the compiler.
    """
    sound = AudioWindows(pipeline, lookahead)
    windows_of = MotionWindows(pipeline, source, controls, seed, pose)

    def show(windows, heard):
        for window in windows:
            for frames in pipeline.decode(source, windows_of(*window)):
                yield Piece(frames, heard, time.perf_counter())

    heard = time.perf_counter()
    for block in blocks:
        heard = time.perf_counter()
        yield from show(sound.push(block), heard)
    yield from show(sound.finish(), heard)


def warm_up(pipeline: Pipeline, source: Source, lookahead: int | None = None) -> None:
    """Compile what `stream` runs, by one window of silence."""
    silence = np.zeros(pipeline.config.motion.window * SAMPLES_PER_FRAME, np.float32)
    for _ in stream(pipeline, source, [silence], lookahead=lookahead):
        pass


def cut(waveform: Float[np.ndarray, " n"], seconds: float) -> Iterator[Float[np.ndarray, " m"]]:
    """A clip as blocks of `seconds`, as a microphone would give them."""
    size = max(1, round(seconds * SAMPLE_RATE))
    for start in range(0, len(waveform), size):
        yield waveform[start : start + size]
