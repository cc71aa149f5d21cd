"""Approximate mouth motion from audio alone, for speech without phoneme times.

The jaw follows loudness; rounding and spreading follow the bands of the first and second formants;
hiss narrows the jaw. Stops are seen only as gaps in the sound, and lips meet in sudden ones.
"""

import numpy as np

from vasa_jax.data_pipeline.synthetic.coarticulation import Mouth
from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, smooth
from vasa_jax.data_pipeline.synthetic.visemes import SHAPES, channels, vector
from vasa_jax.typing import SAMPLE_RATE, Float

_WINDOW = 512
_BANDS = ((150, 600), (600, 1000), (1000, 1600), (1600, 3400), (4000, 7500))
"""Hz: low vowels' first formant; back, middle and front second formants; hiss. Peterson & Barney
1952: F2 is below 1000 Hz in rounded back vowels and above 1700 Hz in spread front ones."""
_LEAD = 4
"""Steps of 100 Hz by which the mouth is ahead of the sound: one frame, as for phonemes."""


def bands(waveform: Float[np.ndarray, " n"]) -> Float[np.ndarray, "r 5"]:
    """Energy of `_BANDS` at 100 Hz, in dB."""
    hop = SAMPLE_RATE // RATE
    padded = np.pad(waveform.astype(np.float64), (_WINDOW // 2 - hop // 2, _WINDOW))
    emphasised = np.append(padded[0], padded[1:] - 0.9 * padded[:-1])
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, _WINDOW)[::hop]
    power = np.abs(np.fft.rfft(windows[: len(waveform) // hop] * np.hanning(_WINDOW))) ** 2
    hertz = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    parts = [power[:, (hertz >= low) & (hertz < high)].sum(1) for low, high in _BANDS]
    return 10 * np.log10(np.stack(parts, 1) + 1e-9)


def mouth_from_audio(
    waveform: Float[np.ndarray, " n"], prosody: Prosody, strength: float = 1.0
) -> Mouth:
    """16 kHz samples to the mouth's coefficients at 100 Hz. strength: as in `articulate`."""
    level = bands(waveform)
    loud = prosody.loudness
    spoken = prosody.speaking > 0.5
    speaking = smooth(prosody.speaking, 0.02)
    among = loud[spoken] if spoken.any() else loud
    score = (loud - among.mean()) / max(float(among.std()), 2.0)
    hiss = _ramp(level[:, 4] - level[:, :4].max(1), -6.0, 6.0)
    # Vowels with a high first formant are open ones: energy near 800 Hz over that near 300 Hz.
    wide = _ramp(level[:, 1] - level[:, 0], -16.0, 0.0)
    jaw = np.interp(score, [-1.5, -0.5, 0.5, 1.3], [0.02, 0.2, 0.38, 0.5]) * (0.6 + 0.7 * wide)
    jaw = strength * jaw * speaking * (1 - 0.8 * hiss)
    front = _ramp(level[:, 3] - level[:, 1], -8.0, 8.0)
    back = _ramp(level[:, 1] - level[:, 3], 8.0, 24.0)
    vowel = prosody.voiced * speaking * (1 - hiss)
    arkit = np.zeros((len(loud), 52))
    arkit += (back * vowel)[:, None] * _without_jaw("U") * 0.8
    arkit += (front * vowel)[:, None] * _without_jaw("I") * 0.7
    arkit += (hiss * speaking)[:, None] * _without_jaw("SS")
    arkit[:, channels("jawOpen")[0]] = jaw
    arkit[:, channels("mouthLowerDown")] += (0.35 * jaw)[:, None]
    arkit = np.clip(smooth(_earlier(arkit), 0.03), 0, 1)
    # A gap between loud stretches is a stop; which lips make it cannot be heard, so they only near.
    dip = _ramp(smooth(loud, 0.15) - smooth(loud, 0.015), 7.0, 15.0) * smooth(
        prosody.speaking, 0.15
    )
    none = np.zeros(len(loud))
    return Mouth(arkit, smooth(_earlier(dip), 0.015), none, _earlier(hiss * speaking))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1)


def _earlier(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[_LEAD:], np.repeat(values[-1:], _LEAD, 0)])[: len(values)]


def _without_jaw(name: str) -> np.ndarray:
    return vector({key: value for key, value in SHAPES[name].items() if key != "jawOpen"})
