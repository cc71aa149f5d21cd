"""A clip's audio: int16, exactly 640 samples a frame."""

import numpy as np

from vasa_jax.audio.samples import Samples
from vasa_jax.typing import SAMPLES_PER_FRAME, Float, Int


def frames_with_sound(waveform: Samples) -> int:
    """How many whole frames the sound lasts."""
    return len(waveform) // SAMPLES_PER_FRAME


def cut_sound(waveform: Samples, start: int, stop: int) -> Int[np.ndarray, " m"]:
    """The (stop - start) * 640 samples of frames start..stop as int16. waveform: in [-1, 1]."""
    part = waveform[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]
    return np.round(np.clip(part, -1, 1) * 32767).astype(np.int16)


def loudness(audio: Int[np.ndarray, " n"]) -> float:
    """Root mean square in dB below full scale (a square wave of full scale is 0); -120 for none."""
    power = float(np.mean(np.square(audio.astype(np.float64) / 32768))) if len(audio) else 0.0
    return 10 * float(np.log10(max(power, 1e-12)))


def energy(audio: Int[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
    """Loudness of every frame in dB, (n // 640,) float32."""
    blocks = audio.reshape(-1, SAMPLES_PER_FRAME).astype(np.float64) / 32768
    return (10 * np.log10(np.maximum(np.square(blocks).mean(1), 1e-8))).astype(np.float32)
