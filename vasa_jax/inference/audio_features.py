"""Audio features of several clips at once: one chunk of a clip per device and call."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vasa_jax.audio import AudioEncoder
from vasa_jax.audio.chunks import (
    chunk_row,
    chunk_samples,
    kept_frames,
    made_ready,
    measured_parts,
    plan,
)
from vasa_jax.audio.samples import Samples
from vasa_jax.config import AudioConfig
from vasa_jax.inference.lanes import Lanes, Program, batched
from vasa_jax.typing import Float

__all__ = ["ChunkedEncoder", "ClipFeatures"]


class ClipFeatures:
    """The features of one clip, encoded chunk by chunk and taken in order."""

    def __init__(self, waveform: Samples, config: AudioConfig):
        self.waveform, self.chunks = waveform, plan(len(waveform), config)
        self.statistics: Any = None  # over the whole clip, of encoders that normalise by them
        self.frames = self.chunks[-1].last  # features of the whole clip
        self.encoded = 0  # chunks
        self.ready = np.zeros((0, config.dim), np.float32)  # encoded, not yet taken

    def take(self, count: int) -> Float[np.ndarray, "_ a"]:
        """The next `count` features, or what is left of them."""
        taken, self.ready = self.ready[:count], self.ready[count:]
        return taken


class ChunkedEncoder:
    """An audio encoder, one chunk per device and call; of a clip at most a chunk is held."""

    def __init__(self, encoder: AudioEncoder, params: dict, config: AudioConfig, lanes: Lanes):
        def encode(params, row, real, statistics):
            return encoder.apply({"params": params}, row, real, statistics, True)

        def measure(params, row, real, start, stop):
            return encoder.apply({"params": params}, row, real, start, stop, method="measure")

        self._encoder, self._params, self._config, self._lanes = encoder, params, config, lanes
        self._size = chunk_samples(config)
        self.encode = Program(lanes, "encode_audio", encode)
        self.measure = Program(lanes, "measure", measure)
        row, one = np.zeros((1, self._size), np.float32), np.zeros(1, np.int32)
        self._measures = jax.eval_shape(measure, params, row, one, one, one) is not None

    def open(self, waveform: Samples) -> ClipFeatures:
        """Check a clip and measure its statistics. Raises UserError as `chunks.encode_clip`."""
        clip = ClipFeatures(made_ready(self._encoder, waveform), self._config)
        parts = measured_parts(clip.chunks, self._size) if self._measures else ()
        for run in batched(parts, len(self._lanes)):
            rows = [(*chunk_row(clip.waveform, c, self._size), *edges) for c, *edges in run]
            found = self.measure(self._params, *self._lanes.stack(rows))
            for part in self._lanes.split(found)[: len(run)]:
                part = jax.tree.map(np.asarray, part)
                before = clip.statistics
                clip.statistics = part if before is None else before.merge(part)
        return clip

    def advance(self, clips: Sequence[ClipFeatures], counts: Sequence[int]) -> None:
        """Encode until each clip holds `counts` features, or all that it has."""
        while True:
            short = [
                clip
                for clip, count in zip(clips, counts, strict=True)
                if len(clip.ready) < count and clip.encoded < len(clip.chunks)
            ]
            if not short:
                return
            for run in batched(short, len(self._lanes)):
                self._encode_next(run)

    def _encode_next(self, clips: Sequence[ClipFeatures]) -> None:
        chunks = [clip.chunks[clip.encoded] for clip in clips]
        rows = [
            (*chunk_row(clip.waveform, chunk, self._size), clip.statistics)
            for clip, chunk in zip(clips, chunks, strict=True)
        ]
        found = self._lanes.split(self.encode(self._params, *self._lanes.stack(rows)))
        for clip, chunk, features in zip(clips, chunks, found, strict=False):
            clip.ready = np.concatenate([clip.ready, kept_frames(features, chunk)])
            clip.encoded += 1

    def whole(self, waveform: Samples) -> Float[np.ndarray, "t a"]:
        """All features of one clip."""
        clip = self.open(waveform)
        self.advance([clip], [clip.frames])
        return clip.take(clip.frames)
