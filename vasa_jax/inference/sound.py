"""Audio features of several clips at once: chunks of all of them side by side on the lanes."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

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
from vasa_jax.inference.lanes import Lanes, Program, runs_of
from vasa_jax.typing import Float

__all__ = ["Heard", "Hearing"]


class Heard:
    """A clip's sound on its way to features; `frames` of them in all, taken in their order."""

    def __init__(self, waveform: Samples, config: AudioConfig):
        self.waveform, self.chunks = waveform, plan(len(waveform), config)
        self.statistics: Any = None
        self.frames = self.chunks[-1].last
        self.encoded = 0
        """Chunks that became features."""
        self.held = np.zeros((0, config.dim), np.float32)
        """Features that were not taken yet."""

    def take(self, count: int) -> Float[np.ndarray, "_ a"]:
        """The next `count` features, or what is left of them."""
        taken, self.held = self.held[:count], self.held[count:]
        return taken


class Hearing:
    """An audio encoder on lanes, a chunk on each. No more than a chunk of a clip is held."""

    def __init__(self, encoder: nn.Module, params: dict, config: AudioConfig, lanes: Lanes):
        def encode(params, row, real, statistics):
            return encoder.apply({"params": params}, row, real, statistics, True)

        def measure(params, row, real, start, stop):
            return encoder.apply({"params": params}, row, real, start, stop, method="measure")

        self._encoder, self._params, self._config, self._lanes = encoder, params, config, lanes
        self._size = chunk_samples(config)
        self.encode = Program(lanes, "hear", encode)
        self.measure = Program(lanes, "measure", measure)
        row, one = np.zeros((1, self._size), np.float32), np.zeros(1, np.int32)
        self._measures = jax.eval_shape(measure, params, row, one, one, one) is not None

    def open(self, waveform: Samples) -> Heard:
        """Check a clip and take its statistics. Raises UserError as `chunks.encode_clip` does."""
        heard = Heard(made_ready(self._encoder, waveform), self._config)
        parts = measured_parts(heard.chunks, self._size) if self._measures else ()
        for run in runs_of(parts, len(self._lanes)):
            rows = [(*chunk_row(heard.waveform, c, self._size), *edges) for c, *edges in run]
            found = self.measure(self._params, *self._lanes.stack(rows))
            for part in self._lanes.split(found)[: len(run)]:
                part = jax.tree.map(np.asarray, part)
                before = heard.statistics
                heard.statistics = part if before is None else before.merge(part)
        return heard

    def advance(self, clips: Sequence[Heard], counts: Sequence[int]) -> None:
        """Encode until each clip holds `counts` features, or all that it has."""
        while True:
            short = [
                clip
                for clip, count in zip(clips, counts, strict=True)
                if len(clip.held) < count and clip.encoded < len(clip.chunks)
            ]
            if not short:
                return
            for run in runs_of(short, len(self._lanes)):
                self._encode_next(run)

    def _encode_next(self, clips: Sequence[Heard]) -> None:
        chunks = [clip.chunks[clip.encoded] for clip in clips]
        rows = [
            (*chunk_row(clip.waveform, chunk, self._size), clip.statistics)
            for clip, chunk in zip(clips, chunks, strict=True)
        ]
        found = self._lanes.split(self.encode(self._params, *self._lanes.stack(rows)))
        for clip, chunk, features in zip(clips, chunks, found, strict=False):
            clip.held = np.concatenate([clip.held, kept_frames(features, chunk)])
            clip.encoded += 1

    def whole(self, waveform: Samples) -> Float[np.ndarray, "t a"]:
        """All features of one clip."""
        heard = self.open(waveform)
        self.advance([heard], [heard.frames])
        return heard.take(heard.frames)
