"""Loudness and pitch of a waveform at 100 Hz, which drive jaw, head and brows."""

from typing import NamedTuple

import numpy as np

from vasa_jax.typing import SAMPLE_RATE, Bool, Float

RATE = 100
"""Values a second, of everything in this folder that is not yet sampled at 25 fps."""
_HOP = SAMPLE_RATE // RATE
_WINDOW = 640
_LOWEST, _HIGHEST = 65.0, 420.0
_VOICED = 0.45
"""Normalised autocorrelation from which a frame counts as voiced."""


class Prosody(NamedTuple):
    """Prosody at 100 Hz."""

    loudness: Float[np.ndarray, " r"]  # dB, smoothed over 40 ms
    speaking: Float[np.ndarray, " r"]  # 0 to 1, voice activity
    # Semitones from the clip's median, carried over unvoiced stretches.
    pitch: Float[np.ndarray, " r"]
    voiced: Float[np.ndarray, " r"]  # whether it was measured there


def analyse(waveform: Float[np.ndarray, " n"]) -> Prosody:
    """Loudness and pitch of speech at 16 kHz; value i is centred on (i + 0.5) / 100 s.

    Pitch by the normalised autocorrelation of 40 ms windows (Boersma 1993), 65 to 420 Hz, with the
    window's own correlation divided out.
    """
    count = len(waveform) // _HOP
    padded = np.pad(waveform.astype(np.float64), (_WINDOW // 2 - _HOP // 2, _WINDOW))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    shape = np.hanning(_WINDOW)
    weighted = windows * shape
    loudness = 10 * np.log10((weighted**2).sum(1) / (shape**2).sum() + 1e-9)
    top = np.percentile(loudness, 95)
    speaking = np.clip((loudness - (top - 32)) / 12, 0, 1) * (top > -60)
    pitch, strength = _pitch(weighted, shape)
    voiced = ((strength > _VOICED) & (speaking > 0.3)).astype(np.float64)
    semitones = np.zeros(count)
    if voiced.sum() >= 5:
        at = np.flatnonzero(voiced)
        tones = 12 * np.log2(pitch[at])
        tones = tones - np.median(tones)
        # Octave errors are far outliers, and no voice moves by more than an octave.
        good = np.abs(tones) < 9
        semitones = np.interp(np.arange(count), at[good], tones[good])
    return Prosody(loudness, speaking, smooth(semitones, 0.03), voiced)


def _pitch(weighted: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = 2 * _WINDOW
    spectrum = np.abs(np.fft.rfft(weighted - weighted.mean(1, keepdims=True), size)) ** 2
    own = np.fft.irfft(np.abs(np.fft.rfft(shape, size)) ** 2)
    correlation = np.fft.irfft(spectrum)[:, : _WINDOW // 2]
    correlation = correlation / (correlation[:, :1] + 1e-12) * (own[0] / own[: _WINDOW // 2])
    first, last = int(SAMPLE_RATE / _HIGHEST), int(SAMPLE_RATE / _LOWEST)
    found = correlation[:, first:last]
    # A shorter period wins among near equals, or every second period would.
    biased = found - 0.12 * np.log2(np.arange(first, last) / first)[None] / np.log2(last / first)
    best = biased.argmax(1)
    return SAMPLE_RATE / (first + best), found[np.arange(len(found)), best]


def smooth(
    values: Float[np.ndarray, "r ..."], seconds: float, rate: float = RATE
) -> Float[np.ndarray, "r ..."]:
    """Gaussian smoothing along time with a standard deviation of `seconds`; ends are held."""
    half = int(np.ceil(3 * seconds * rate))
    if half < 1 or len(values) == 0:
        return values
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / (seconds * rate)) ** 2)
    kernel /= kernel.sum()
    flat = values.reshape(len(values), -1)
    padded = np.pad(flat, ((half, half), (0, 0)), mode="edge")
    columns = [np.convolve(padded[:, i], kernel, "valid") for i in range(flat.shape[1])]
    return np.stack(columns, 1).reshape(values.shape)


def strongest(
    strength: Float[np.ndarray, " k"], share: float
) -> tuple[Bool[np.ndarray, " k"], Float[np.ndarray, " chosen"]]:
    """Which of k > 0 accents are the strongest `share` of them, and how strong each of these is,
    from 0 to 1 (at least 3 above the weakest) as `headmotion.emphasis` counts."""
    bar = np.quantile(strength, 1 - share)
    chosen = strength >= bar
    span = max(float(strength.max() - bar), 3.0)
    return chosen, np.clip((strength[chosen] - bar) / span, 0, 1)


def at_frames(
    values: Float[np.ndarray, "r ..."], frames: int, fps: int = 25
) -> Float[np.ndarray, "t ..."]:
    """Values at 100 Hz in the middle of each frame, linearly interpolated."""
    middle = (np.arange(frames) + 0.5) / fps * RATE - 0.5
    grid = np.arange(len(values))
    flat = values.reshape(len(values), -1)
    columns = [np.interp(middle, grid, flat[:, i]) for i in range(flat.shape[1])]
    return np.stack(columns, 1).reshape(frames, *values.shape[1:])
