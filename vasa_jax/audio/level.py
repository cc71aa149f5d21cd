"""Loudness (ITU-R BS.1770) of speech, and the gain to the level that models are trained on.

Recordings have any level, training data one. Loudness is gated (pauses do not count) and
K-weighted. Only the encoder's input is changed; the output video keeps the original audio.
"""

import math

import numpy as np

from vasa_jax.audio.samples import Samples, pieces
from vasa_jax.typing import SAMPLE_RATE, Float

__all__ = [
    "LOUDEST",
    "QUIETEST",
    "TYPICAL",
    "LevelMeter",
    "at_speech_level",
    "clip_gain",
    "speech_gain",
]

QUIETEST, LOUDEST = -28.0, -13.0
"""Range of loudness, LUFS, that is left as it is: that of the augmented training data."""
TYPICAL = -23.0
"""LUFS to which all other speech is brought: the middle of the training's, and EBU R 128's."""
_STEP = SAMPLE_RATE // 10
_STEPS_A_BLOCK = 4
_GATE, _RELATIVE_GATE = -70.0, 10.0
_OFFSET = -0.691
_LOWEST, _BINS_A_DB, _BINS = -70.0, 10, 1000
_PIECE = 64 * _STEP


class LevelMeter:
    """Loudness of the sound so far, in pieces of any length; memory does not grow.

    Blocks of 0.4 s that overlap by 3/4 are counted in bins of 0.1 dB. Sound of less than 0.4 s has
    no loudness.
    """

    def __init__(self):
        self._sections = _k_weighting()
        self._state = np.zeros((len(self._sections), 2))
        self._rest = np.zeros(0)
        self._powers: list[float] = []  # of the last steps, fewer than a block's
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, samples: Float[np.ndarray, " n"]) -> None:
        """Take more samples, 16 kHz in [-1, 1]."""
        from scipy.signal import sosfilt

        for start in range(0, len(samples), _PIECE):
            heard, self._state = sosfilt(
                self._sections, samples[start : start + _PIECE].astype(np.float64), zi=self._state
            )
            heard = np.concatenate([self._rest, heard])
            whole = len(heard) // _STEP * _STEP
            self._rest = heard[whole:]
            powers = np.square(heard[:whole].reshape(-1, _STEP)).mean(1)
            self._powers = [*self._powers, *powers.tolist()]
            self._count()

    def _count(self) -> None:
        if len(self._powers) < _STEPS_A_BLOCK:
            return
        blocks = np.lib.stride_tricks.sliding_window_view(self._powers, _STEPS_A_BLOCK).mean(1)
        loud = _OFFSET + 10 * np.log10(np.maximum(blocks, 1e-20))
        places = np.floor((loud[loud >= _GATE] - _LOWEST) * _BINS_A_DB).astype(int)
        np.add.at(self._counts, np.minimum(places, _BINS - 1), 1)
        self._powers = self._powers[-(_STEPS_A_BLOCK - 1) :]

    @property
    def loudness(self) -> float | None:
        """Integrated loudness, LUFS, to 0.1 dB; None where nothing is above -70 LUFS."""
        levels = _LOWEST + (np.arange(_BINS) + 0.5) / _BINS_A_DB
        mean = _mean_level(levels, self._counts)
        if mean is None:
            return None
        return _mean_level(levels, np.where(levels > mean - _RELATIVE_GATE, self._counts, 0))

    @property
    def gain(self) -> float:
        """Gain of the encoder's input; 1 for silence."""
        return speech_gain(self.loudness)


def speech_gain(loudness: float | None) -> float:
    """The factor that brings a loudness (LUFS) outside of QUIETEST..LOUDEST to TYPICAL."""
    if loudness is None or QUIETEST <= loudness <= LOUDEST:
        return 1.0
    return 10 ** ((TYPICAL - loudness) / 20)


def clip_gain(waveform: Samples) -> float:
    """`LevelMeter.gain` of a whole clip."""
    meter = LevelMeter()
    for piece in pieces(waveform):
        meter.add(piece)
    return meter.gain


def at_speech_level(waveform: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """A whole clip at a level that the models know; the very array where it is at one already.

    Not clipped: a bump beside quiet speech may leave [-1, 1].
    """
    gain = clip_gain(waveform)
    return waveform if gain == 1 else waveform * np.float32(gain)


def _mean_level(levels: np.ndarray, counts: np.ndarray) -> float | None:
    total = int(counts.sum())
    if not total:
        return None
    return 10 * math.log10(float((counts * 10 ** (levels / 10)).sum()) / total)


def _k_weighting() -> Float[np.ndarray, "2 6"]:
    """BS.1770's two filters at 16 kHz, as second-order sections.

    The standard has numbers for 48 kHz alone; these analogue prototypes give those there (bilinear
    transform, as libebur128 and FFmpeg do it).
    """
    k, q = math.tan(math.pi * 1681.974450955533 / SAMPLE_RATE), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (high + band * k / q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - band * k / q + k * k) / a0,
        1,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    k, q = math.tan(math.pi * 38.13547087602444 / SAMPLE_RATE), 0.5003270373238773
    a0 = 1 + k / q + k * k
    cut = [1, -2, 1, 1, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, cut])
