"""Downmix of any number of channels to mono, weighted by energy."""

import itertools
from functools import cache

import numpy as np

from vasa_jax.typing import Float

__all__ = ["EnergyMix"]

_MUTE = 1e-4
"""A channel whose power is smaller than this part of the loudest one's does not count (40 dB)."""
_SILENT = 1e-10
"""Mean power, full scale 1, below which nothing is decided anew (-100 dB)."""
_LOST = 0.25
"""Channels are turned over only if as they are less than this part of the power would be left."""
_MEMORY_SECONDS = 0.2
_MOST_SIGNS = 8


class EnergyMix:
    """Blocks of one sound's channels to mono that keeps their power.

    A sum loses what is on two channels with opposite signs, as a wrongly wired microphone or a
    careless editor leaves it. Here such channels are turned over first; mute ones do not count; and
    the sum is scaled to the mean power of the channels that do. Decided anew in every block from
    the last moments, with soft transitions, since a film may be put together from different takes.
    Sound that is the same on all channels, or on one alone, comes out as it is.

    weights: of every channel in a mono mix, not negative (`downmix_matrix`).
    """

    def __init__(self, weights: Float[np.ndarray, " c"]):
        self._weights = np.asarray(weights, np.float64)
        self._power = np.zeros((len(weights), len(weights)))
        self._row: np.ndarray | None = None
        self._signs = np.ones(len(weights))

    def __call__(self, block: Float[np.ndarray, "c n"], rate: int) -> Float[np.ndarray, "1 n"]:
        """The next samples, mixed."""
        channels, count = block.shape
        if channels == 1 or not count:
            return block[:1]
        # Sums of products over the past, older ones fading.
        samples = block.astype(np.float64)
        fade = np.exp(-count / rate / _MEMORY_SECONDS)
        self._power = self._power * fade + samples @ samples.T
        heard = self._power.diagonal().max() > _SILENT * _MEMORY_SECONDS * rate
        row = self._decide() if heard or self._row is None else self._row
        earlier = row if self._row is None else self._row
        self._row = row
        ramp = np.linspace(0, 1, count, endpoint=False)
        mixed = (earlier @ samples) * (1 - ramp) + (row @ samples) * ramp
        return mixed[None].astype(np.float32)

    def _decide(self) -> Float[np.ndarray, " c"]:
        power, weights = self._power.diagonal(), self._weights
        if not (power * weights).any():  # sound on channels alone that a mix leaves out, as the LFE
            weights = np.ones(len(power))
        counts = power >= _MUTE * power[weights > 0].max()
        weights = np.where(counts, weights, 0)
        weights = weights / weights.sum()
        self._signs = self._best_signs(weights)
        row = self._signs * weights
        left = float(row @ self._power @ row)
        return row * np.sqrt(float(weights @ power) / left) if left > 0 else row

    def _best_signs(self, weights: np.ndarray) -> np.ndarray:
        """The present signs while they lose little, else none, else those that keep the most."""

        def left(signs: np.ndarray) -> float:
            return float((signs * weights) @ self._power @ (signs * weights))

        best = self._strongest(weights)
        most, none = left(best), np.ones(len(weights))
        if left(self._signs) >= _LOST * most:
            return self._signs
        if left(none) >= 2 * _LOST * most:
            return none
        # The negated mix sounds the same, but a switch to it would be audible.
        return best if best @ (self._signs * weights) >= 0 else -best

    def _strongest(self, weights: np.ndarray) -> np.ndarray:
        matrix = weights[:, None] * self._power * weights
        if len(weights) > _MOST_SIGNS:
            signs = np.sign(np.linalg.eigh(matrix)[1][:, -1])
            return np.where(signs == 0, 1, signs)
        choices = _sign_choices(len(weights))
        return choices[np.einsum("kc,cd,kd->k", choices, matrix, choices).argmax()]


@cache
def _sign_choices(channels: int) -> Float[np.ndarray, "k c"]:
    """Every way to turn channels over but for the first, which stays as it is."""
    return np.array([(1.0, *rest) for rest in itertools.product((1, -1), repeat=channels - 1)])
