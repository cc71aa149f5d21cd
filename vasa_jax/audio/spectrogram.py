"""Mel power spectrograms, differentiable, with a finite window.

The mel scale and the area normalisation are Slaney's (Auditory Toolbox, 1998), which Whisper's
features use; 25 ms periodic Hann windows every 10 ms at 16 kHz.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.typing import SAMPLE_RATE, Array, Float

WINDOW = 400
HOP = 160
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0  # linear below, logarithmic above
_LOG_STEP = math.log(6.4) / 27.0


def _hertz(mel: np.ndarray) -> np.ndarray:
    linear = mel * (_KNEE_HZ / _KNEE_MEL)
    return np.where(
        mel < _KNEE_MEL, linear, _KNEE_HZ * np.exp(_LOG_STEP * np.maximum(mel - _KNEE_MEL, 0))
    )


@functools.cache
def mel_filters(bins: int) -> Float[np.ndarray, "f m"]:
    """Triangular filters from 0 to 8 kHz, each of area 2 / bandwidth: (201 frequencies, bins)."""
    top = _KNEE_MEL + math.log(SAMPLE_RATE / 2 / _KNEE_HZ) / _LOG_STEP
    edges = _hertz(np.linspace(0.0, top, bins + 2))
    frequencies = np.linspace(0.0, SAMPLE_RATE / 2, WINDOW // 2 + 1)[:, None]
    rise = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rise, fall))
    return (triangles * 2.0 / (edges[2:] - edges[:-2])).astype(np.float32)


def frame(waveform: Float[Array, "b n"], count: int) -> Float[Array, "b t w"]:
    """`count` windows of 400 samples, one every 160; window m starts at sample 160 m.

    Windows are glued together from strided slices of 80-sample blocks instead of a gather, whose
    gradient would be a scatter.
    """
    block = math.gcd(WINDOW, HOP)
    stride, blocks = HOP // block, WINDOW // block
    needed = ((count - 1) * stride + blocks) * block
    tiles = waveform[:, :needed].reshape(waveform.shape[0], -1, block)
    last = (count - 1) * stride + 1
    parts = [tiles[:, k : k + last : stride] for k in range(blocks)]
    return jnp.concatenate(parts, axis=-1)


def mel_power(waveform: Float[Array, "b n"], count: int, bins: int) -> Float[Array, "b t m"]:
    """Mel power of `count` windows that start at samples 0, 160, 320, …, always in float32.

    The filters are applied at the highest matmul precision: powers span ten decades and the
    logarithm that follows would show the rounding of TF32 or bf16.
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = frame(waveform.astype(jnp.float32), count) * window.astype(np.float32)
    spectrum = jnp.fft.rfft(frames, axis=-1)
    power = jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2
    return jnp.matmul(power, mel_filters(bins), precision=jax.lax.Precision.HIGHEST)
