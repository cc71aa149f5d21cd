"""`av_sync`: our own score of audio-lip sync, from face landmarks and sound.

What ships was trained on synthetic heads alone (`vasa_jax/weights/av_sync/README.md`). Its figures
are no SyncNet's: its space has other units, its sign and its definition are SyncNet's, but for the
ends of a clip, where only pairs of lips and sound are compared and nothing is padded.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.config.sync import SyncConfig
from vasa_jax.sync.distances import (
    NOT_MEASURED,
    VSHIFT,
    SyncScore,
    mean_distances,
    score_of,
)
from vasa_jax.sync.lips import align_lips, fill_gaps, without_mean
from vasa_jax.sync.model import SyncNetwork
from vasa_jax.sync.sound import log_mel_frames
from vasa_jax.sync.weights import load_sync
from vasa_jax.typing import SAMPLES_PER_FRAME, Float

__all__ = ["AVSync", "load"]

LEAST_SEEN = 0.5
"""Share of the frames in which the face must be seen."""
LEAST_FRAMES = 2 * VSHIFT + 5
"""So that every shift compares 20 frames or more."""
SILENT = 1e-4
"""Root mean square of samples below which there is no sound that lips could be in time with."""
_BLOCK, _MARGIN = 1024, 32


class AVSync:
    """A trained network: landmarks and sound to embeddings, distances, a score."""

    def __init__(self, config: SyncConfig, params: Any):
        self.config, self._params = config, params
        network = SyncNetwork(config.sync)
        side = config.sync.blocks * (config.sync.kernel // 2)
        assert side <= _MARGIN, "an embedding must not see beyond the margin of a block"

        def part(method):
            return jax.jit(lambda p, *given: network.apply({"params": p}, *given, method=method))

        self._lips, self._sounds = part("embed_lips"), part("embed_sounds")

    def __call__(
        self, landmarks: Float[np.ndarray, "t 478 3"], waveform: Float[np.ndarray, " n"]
    ) -> SyncScore:
        """landmarks: pixels, z too, one face at 25 fps, NaN where it is not seen. waveform: 16 kHz
        from the same start. `NOT_MEASURED` for clips under 1.4 s, faces that are seen in less than
        half of the frames, and silence."""
        lips, sounds = self.embed(landmarks, waveform)
        return score_of(self.distances(lips, sounds)) if len(lips) else NOT_MEASURED

    def distances(
        self, lips: Float[np.ndarray, "t e"], sounds: Float[np.ndarray, "t e"]
    ) -> Float[np.ndarray, "31"]:
        """Mean distance of embeddings with the sound shifted by -15..15 frames."""
        return mean_distances(lips, sounds, VSHIFT, padded=False)

    def embed(
        self, landmarks: Float[np.ndarray, "t 478 3"], waveform: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "u e"], Float[np.ndarray, "u e"]]:
        """Embeddings of lips and of sound, none where they say nothing (see `__call__`)."""
        count = min(len(landmarks), len(waveform) // SAMPLES_PER_FRAME)
        wave = np.asarray(waveform[: count * SAMPLES_PER_FRAME], np.float32)
        seen = np.isfinite(landmarks[:count]).all((1, 2))
        if (
            count < LEAST_FRAMES
            or seen.mean() < LEAST_SEEN
            or np.sqrt(np.mean(np.square(wave, dtype=np.float64))) < SILENT
        ):
            none = np.zeros((0, self.config.sync.dim), np.float32)
            return none, none
        lips = fill_gaps(align_lips(landmarks[:count])).reshape(count, -1)
        return self.embed_features(lips, log_mel_frames(wave, self.config.sync.mel_bins))

    def embed_features(
        self, lips: Float[np.ndarray, "t f"], sounds: Float[np.ndarray, "t g"]
    ) -> tuple[Float[np.ndarray, "t e"], Float[np.ndarray, "t e"]]:
        """Embeddings of `align_lips`, flat, and of `log_mel_frames`."""
        return (
            _in_blocks(self._lips, self._params, without_mean(lips)),
            _in_blocks(self._sounds, self._params, without_mean(sounds)),
        )


def _in_blocks(function, params, features):
    """Blocks of one length, each with what its first and last embeddings see around them, so that
    clips of any length take one program and the same memory."""
    count = len(features)
    inside = np.pad(features, ((_MARGIN, _MARGIN + _BLOCK), (0, 0)))
    known = np.pad(np.ones((count, 1), np.float32), ((_MARGIN, _MARGIN + _BLOCK), (0, 0)))
    parts = []
    for at in range(0, count, _BLOCK):
        part = slice(at, at + _BLOCK + 2 * _MARGIN)
        found = function(params, inside[part][None], known[part][None])
        parts.append(np.asarray(found)[0, _MARGIN : _MARGIN + _BLOCK])
    return np.concatenate(parts)[:count]


def load(path: Path | str | None = None) -> AVSync:
    """The network of a folder of `vasa-jax export`; None: the one that ships.

    Raises UserError where it cannot be read.
    """
    weights = load_sync(path)
    return AVSync(weights.config, weights.params)
