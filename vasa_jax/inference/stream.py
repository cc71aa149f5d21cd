"""Online generation: audio arrives in blocks, frames go out while the speaker is still talking.

A window of motion is sampled as soon as its audio is there, and decoded in batches of the config's
`inference.decode_batch`. Carry, keys and programs are those of the offline path: the same features,
audio and seed give the same video. Features differ from the offline ones only where an encoder sees
more than `lookahead` or normalises over the whole clip (wav2vec2, whisper): here it sees recent
audio alone. Loudness is likewise measured over the audio so far.
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
    "FeatureWindow",
    "FrameChunk",
    "MotionWindows",
    "default_lookahead",
    "split_audio",
    "stream",
    "warm_up",
]

DEFAULT_CONTROLS = Controls()
LOOKAHEAD = 5
"""Frames of audio past a window's end for encoders that see a whole chunk (0.2 s)."""


class FeatureWindow(NamedTuple):
    """Audio features of one window."""

    features: Float[np.ndarray, "t a"]  # t frames, fewer than a window in the last one
    digest: int  # of its samples, see `vasa_jax.audio.digest`


class FrameChunk(NamedTuple):
    """Neighbouring frames, with two readings of `time.perf_counter`; made - received is latency."""

    frames: Frames
    received: float  # when the last audio that their window needs had arrived
    made: float  # when the frames were in host memory


def default_lookahead(pipeline: Pipeline) -> int:
    """Frames of audio past a window's end that its features need."""
    if pipeline.audio_receptive_frames is None:
        return LOOKAHEAD
    return pipeline.audio_receptive_frames


class AudioWindows:
    """Blocks of 16 kHz audio in, whole windows of features out; the last may be shorter.

    lookahead: frames of audio past a window's end to wait for (None: `default_lookahead`). Results
    do not depend on the sizes of the blocks. Memory does not grow.
    """

    def __init__(self, pipeline: Pipeline, lookahead: int | None = None):
        self._pipeline, self._window = pipeline, pipeline.config.motion.window
        self._right = default_lookahead(pipeline) if lookahead is None else lookahead
        reach = pipeline.audio_receptive_frames
        overlap = round(pipeline.config.audio.overlap_seconds * FPS)
        self._left = overlap if reach is None else reach
        if self._right < 0:
            raise ValueError(f"lookahead {self._right} must not be negative")
        # Frames to keep: a chunk's context; for encoders that normalise over a clip, a whole chunk.
        self._keep = self._left if reach is not None else self._history()
        self._sound = np.zeros(0, np.float32)
        self._dropped, self._next = 0, 0  # frames dropped, first frame of the next window
        self._level, self._measured = LevelMeter(), 0  # samples measured

    def _history(self) -> int:
        return max(self._left, round(self._pipeline.config.audio.chunk_seconds * FPS))

    def push(self, samples: Float[np.ndarray, " n"]) -> Iterator[FeatureWindow]:
        """Take a block of samples in [-1, 1]; yields the windows that are now ready.

        Raises UserError for samples that are not finite.
        """
        if not np.isfinite(samples).all():
            raise UserError("the sound has samples that are not finite; check where it comes from")
        self._sound = np.concatenate([self._sound, np.asarray(samples, np.float32)])
        return self._ready()

    def finish(self) -> Iterator[FeatureWindow]:
        """The sound is over: yields what is left, the last window with its own length."""
        total = self._dropped + num_frames(len(self._sound))
        while self._next < total:
            yield self._take(min(self._next + self._window, total))

    def _ready(self) -> Iterator[FeatureWindow]:
        received = self._dropped + len(self._sound) // SAMPLES_PER_FRAME
        while self._next + self._window + self._right <= received:
            yield self._take(self._next + self._window)

    def _take(self, last: int) -> FeatureWindow:
        """Frames [next, last); then drop what no later window needs."""
        start, stop = ((frame - self._dropped) * SAMPLES_PER_FRAME for frame in (self._next, last))
        digest = sound_digest(self._sound[start:stop])
        first = max(self._next - self._left, self._dropped)
        begin = (first - self._dropped) * SAMPLES_PER_FRAME
        # No more than `lookahead`, though more may be there: blocks must not change the result.
        end = min((last + self._right - self._dropped) * SAMPLES_PER_FRAME, len(self._sound))
        self._measure(end)
        sound = self._pipeline.prepare_audio(self._sound[:end], self._level.gain)[begin:]
        size = (self._left + self._window + self._right) * SAMPLES_PER_FRAME
        row = np.zeros((1, size), np.float32)
        row[0, : len(sound)] = sound
        features = self._pipeline.encode_audio_chunk(row, len(sound))[
            0, self._next - first : last - first
        ]
        self._next = last
        drop = max(last - self._keep - self._dropped, 0)
        self._sound = self._sound[drop * SAMPLES_PER_FRAME :]
        self._dropped += drop
        return FeatureWindow(features, digest)

    def _measure(self, end: int) -> None:
        """Measure the level of everything up to sample `end` of what is kept, once."""
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
) -> Iterator[FrameChunk]:
    """Frames of a clip whose audio arrives in `blocks` (16 kHz, mono, any lengths), in order.

    source: from `pipeline.encode`. The next block is requested once all frames of those before were
    taken, so the consumer sets the pace. Clips end as offline: ceil(samples / 640) frames. The
    first frames come when the audio of the first window (motion.window frames) has arrived; call
    `warm_up` before, or they also wait for the compiler.
    """
    audio = AudioWindows(pipeline, lookahead)
    motion_of = MotionWindows(pipeline, source, controls, seed, pose)

    def decoded(windows: Iterable[FeatureWindow], received: float) -> Iterator[FrameChunk]:
        for window in windows:
            for frames in pipeline.decode(source, motion_of(*window)):
                yield FrameChunk(frames, received, time.perf_counter())

    received = time.perf_counter()
    for block in blocks:
        received = time.perf_counter()
        yield from decoded(audio.push(block), received)
    yield from decoded(audio.finish(), received)


def warm_up(pipeline: Pipeline, source: Source, lookahead: int | None = None) -> None:
    """Compile the programs of `stream` by one window of silence."""
    silence = np.zeros(pipeline.config.motion.window * SAMPLES_PER_FRAME, np.float32)
    for _ in stream(pipeline, source, [silence], lookahead=lookahead):
        pass


def split_audio(
    waveform: Float[np.ndarray, " n"], seconds: float
) -> Iterator[Float[np.ndarray, " m"]]:
    """A clip in blocks of `seconds`, as from a microphone."""
    size = max(1, round(seconds * SAMPLE_RATE))
    for start in range(0, len(waveform), size):
        yield waveform[start : start + size]
