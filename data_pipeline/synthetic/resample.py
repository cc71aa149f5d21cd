"""Resampling from Kokoro's 24 kHz to 16 kHz."""

import numpy as np

from vasa_jax.typing import Float

_HALF = 48
"""Input samples on each side that an output sample is made from."""
_CUTOFF = 0.92 * 16_000 / 24_000
"""Of the input's Nyquist frequency: the pass band ends at 7.0 kHz, 8.0 kHz is down by 70 dB."""
_BETA = 8.0


def _taps(shift: float) -> np.ndarray:
    """Kaiser-windowed sinc, sampled so that its centre lies `shift` after input sample `_HALF`."""
    place = np.arange(2 * _HALF + 1) - _HALF - shift
    inside = np.clip(1 - (place / (_HALF + 1)) ** 2, 0, None)
    taps = np.sinc(_CUTOFF * place) * np.i0(_BETA * np.sqrt(inside))
    return taps / taps.sum()


def to_16k(wave: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """A waveform at 24 kHz at 16 kHz: m = ceil(n * 2 / 3), float32, sample 0 at the same time.

    Polyphase windowed sinc (Oppenheim & Schafer, Discrete-Time Signal Processing, section 4.6):
    every second output sample lies on an input sample, the others midway between two.
    """
    padded = np.pad(wave.astype(np.float64), (_HALF, _HALF + 3))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HALF + 1)
    out = np.empty((len(wave) * 2 + 2) // 3, np.float32)
    on, between = out[::2], out[1::2]
    on[:] = windows[::3][: len(on)] @ _taps(0.0)
    between[:] = windows[1::3][: len(between)] @ _taps(0.5)
    return out
