"""Sound as `av_sync` hears it: a log-mel spectrogram, a row a video frame.

In NumPy, so that clips of any length need no compiled program.
"""

import numpy as np

from vasa_jax.audio.mel import FLOOR
from vasa_jax.audio.spectrogram import HOP, WINDOW, mel_filters
from vasa_jax.typing import SAMPLES_PER_FRAME, Float

__all__ = ["HOPS", "log_mel_frames"]

HOPS = SAMPLES_PER_FRAME // HOP
LEVEL = 0.05
"""Root mean square over its loudest half second that a clip is brought to."""
_LOUD = 8000
_QUIET = 1e-4
_SIDE = (WINDOW - HOP) // 2


def log_mel_frames(waveform: Float[np.ndarray, " n"], bins: int) -> Float[np.ndarray, "t f"]:
    """(n,) samples at 16 kHz -> (n // 640, 4 * bins): `vasa_jax.audio.mel.log_mel` of the clip at
    speech level, four hops of 10 ms a frame."""
    frames = len(waveform) // SAMPLES_PER_FRAME
    wave = np.asarray(waveform[: frames * SAMPLES_PER_FRAME], np.float32)
    if not frames:
        return np.zeros((0, HOPS * bins), np.float32)
    power = np.square(wave, dtype=np.float64)
    total = np.cumsum(np.pad(power, (1, 0)))
    width = min(_LOUD, len(wave))
    loudest = np.sqrt(max((total[width:] - total[:-width]).max() / width, 0.0))
    wave = wave * np.float32(LEVEL / max(loudest, _QUIET))
    padded = np.pad(wave, _SIDE)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: frames * HOPS]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    spectrum = np.fft.rfft(windows * window, axis=1)
    mel = (spectrum.real**2 + spectrum.imag**2) @ mel_filters(bins)
    return ((np.log10(mel + FLOOR) + 3) / 2).astype(np.float32).reshape(frames, HOPS * bins)
