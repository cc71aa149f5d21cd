"""Mel-frequency cepstral coefficients as `python_speech_features.mfcc` computes them by default.

SyncNet was trained on these, so their quirks are kept: a rectangular window, an FFT of 512 points
that is divided by 512, filters at whole FFT bins, coefficient 0 replaced by the log energy.
"""

import numpy as np
from scipy.fft import dct

from vasa_jax.typing import SAMPLE_RATE, Float

__all__ = ["COEFFICIENTS", "mfcc"]

COEFFICIENTS = 13
_WINDOW, _STEP, _FFT = 400, 160, 512
_FILTERS, _EMPHASIS, _LIFTER = 26, 0.97, 22
_EPS = np.finfo(float).eps
_BLOCK = 6000  # windows, a minute


def mfcc(samples: np.ndarray) -> Float[np.ndarray, "m 13"]:
    """(n,) samples of 16 kHz at the scale of int16 -> a row every 10 ms; the last is padded."""
    signal = np.asarray(samples, np.float64)
    if not len(signal):
        return np.zeros((0, COEFFICIENTS))
    signal = np.append(signal[:1], signal[1:] - _EMPHASIS * signal[:-1])
    count = 1 + max(0, -(-(len(signal) - _WINDOW) // _STEP))
    signal = np.pad(signal, (0, max(0, (count - 1) * _STEP + _WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_STEP][:count]
    parts = [_coefficients(frames[at : at + _BLOCK]) for at in range(0, count, _BLOCK)]
    return np.concatenate(parts)


def _coefficients(frames):
    power = np.square(np.abs(np.fft.rfft(frames, _FFT))) / _FFT
    energy, bands = power.sum(1), power @ _filters().T
    bands, energy = (np.where(x == 0, _EPS, x) for x in (bands, energy))
    found = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    found *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / _LIFTER)
    found[:, 0] = np.log(energy)
    return found


def _filters():
    """(26, 257) triangles between FFT bins that are equally far apart in mel, up to 8 kHz."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_FFT + 1) * hertz / SAMPLE_RATE)
    low, middle, high = (edges[k : k + _FILTERS, None] for k in range(3))
    bins = np.arange(_FFT // 2 + 1)
    rise = (bins - low) / np.maximum(middle - low, 1)
    fall = (high - bins) / np.maximum(high - middle, 1)
    return np.where(
        (bins >= low) & (bins < middle),
        rise,
        np.where((bins >= middle) & (bins < high), fall, 0.0),
    )
