"""Whisper's encoder (Radford et al. 2022), an alternative to Wav2Vec2.

Its features are those of WhisperFeatureExtractor, except that the spectrogram is cropped to the
clip where the original pads every clip with silence to 30 s; padding would cost time and the
motion model has no use for it.
"""

from dataclasses import dataclass, fields
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike

from vasa_jax.audio.protocol import Peak, Statistics, before, valid_frames
from vasa_jax.audio.samples import Samples
from vasa_jax.audio.spectrogram import HOP, WINDOW, mel_power
from vasa_jax.audio.transformer import Layer, layer_norm
from vasa_jax.errors import UserError
from vasa_jax.typing import Array, AudioFeatures, Float, Int, Waveform

_TAIL = 2
"""Windows past the clip's end that still touch it; they count for the peak."""


@dataclass(frozen=True)
class WhisperShape:
    """The sizes of one encoder, named as in Hugging Face's config.json; defaults are `tiny`."""

    d_model: int = 384
    encoder_layers: int = 4
    encoder_attention_heads: int = 6
    encoder_ffn_dim: int = 1536
    num_mel_bins: int = 80
    max_source_positions: int = 1500

    @classmethod
    def from_json(cls, data: dict) -> "WhisperShape":
        """The shape that a Hugging Face config.json describes.

        Raises UserError where it asks for something this network has not got.
        """
        if data.get("activation_function", "gelu") != "gelu" or data.get("scale_embedding"):
            raise UserError(
                "this Whisper has scaled embeddings or an activation other than 'gelu', which is "
                "not supported; use the weights of another variant"
            )
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})


_BASE = WhisperShape(512, 6, 8, 2048)
_SMALL = WhisperShape(768, 12, 12, 3072)
VARIANTS = {
    "tiny": WhisperShape(),
    "tiny.en": WhisperShape(),
    "base": _BASE,
    "base.en": _BASE,
    "small": _SMALL,
    "small.en": _SMALL,
}


def sinusoids(length: int, channels: int) -> Float[np.ndarray, "t c"]:
    """Position table: sines, then cosines, of wavelengths in a geometric row up to 10000 * 2 pi."""
    rates = np.exp(-np.log(10000.0) / (channels // 2 - 1) * np.arange(channels // 2))
    angles = np.arange(length)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


def log_power(waveform: Waveform, bins: int) -> Float[Array, "b t m"]:
    """log10 mel power of windows centred on samples 0, 160, …, n + 160; n a multiple of 640.

    The signal is reflected about its first sample, as in the original, and silent after its last.
    """
    half = WINDOW // 2
    front = waveform[:, half:0:-1]
    padded = jnp.concatenate([front, waveform], 1)
    count = waveform.shape[1] // HOP + _TAIL
    padded = jnp.pad(padded, ((0, 0), (0, (count - 1) * HOP + WINDOW - padded.shape[1])))
    return jnp.log10(jnp.maximum(mel_power(padded, count, bins), 1e-10))


class WhisperTransformer(nn.Module):
    """Scaled log-mel at 100 Hz to the hidden states of every layer, at 50 Hz."""

    shape: WhisperShape
    dtype: DTypeLike = jnp.float32

    def setup(self):
        s = self.shape
        self.conv1 = nn.Conv(s.d_model, (3,), padding=[(1, 1)], dtype=self.dtype)
        self.conv2 = nn.Conv(s.d_model, (3,), (2,), padding=[(1, 1)], dtype=self.dtype)
        table = (s.max_source_positions, s.d_model)
        self.positions = self.param("positions", lambda key: jnp.asarray(sinusoids(*table)))
        self.layers = [
            Layer(
                s.d_model,
                s.encoder_attention_heads,
                s.encoder_ffn_dim,
                True,
                key_bias=False,
                dtype=self.dtype,
            )
            for _ in range(s.encoder_layers)
        ]
        self.norm = layer_norm()

    def __call__(
        self, mel: Float[Array, "b t m"], ends: Int[Array, " b"] | None = None
    ) -> tuple[Float[Array, "b s c"], ...]:
        """Hidden states: the transformer's input, each layer's output, the last one normalised.

        mel: an even number of steps. ends: real steps of each row (even), default all.
        """
        steps = mel.shape[1]
        if steps > 2 * self.shape.max_source_positions:
            raise UserError(
                f"Whisper takes at most {self.shape.max_source_positions / 50:g} s at "
                f"once, but got {steps / 100:g} s; encode long clips in chunks "
                "(audio.chunk_seconds)"
            )
        if ends is None:
            ends = jnp.full((mel.shape[0],), steps, jnp.int32)
        inside = before(steps, ends)[..., None]
        x = jax.nn.gelu(self.conv1(jnp.where(inside, mel, 0)), approximate=False)
        x = jax.nn.gelu(self.conv2(jnp.where(inside, x, 0)), approximate=False)
        hidden = [x.astype(jnp.float32) + self.positions[: steps // 2]]
        mask = before(steps // 2, ends // 2)
        for layer in self.layers:
            hidden.append(layer(hidden[-1], mask))
        return (*hidden, self.norm(hidden[-1]))


class WhisperEncoder(nn.Module):
    """Whisper's last layer at 25 Hz, one feature a video frame; see `protocol.AudioEncoder`."""

    shape: WhisperShape = VARIANTS["tiny.en"]
    dtype: DTypeLike = jnp.float32

    sets_level = False

    def setup(self):
        self.network = WhisperTransformer(self.shape, self.dtype)

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.shape.d_model

    def spectrogram(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"] | None = None,
        statistics: Statistics = None,
    ) -> Float[Array, "b t m"]:
        """The scaled log-mel, 4 steps a frame, clipped at 80 dB below the clip's peak."""
        waveform, frames = valid_frames(waveform, num_samples)
        power = log_power(waveform, self.shape.num_mel_bins)
        peak = cast(Peak | None, statistics)  # what `measure` made
        if peak is None:
            peak = self._peak(power, before(power.shape[1], 4 * frames + _TAIL))
        power = jnp.maximum(power[:, :-_TAIL], peak.value[:, None, None] - 8.0)
        return (power + 4.0) / 4.0

    def _peak(self, power: Array, mask: Array) -> Peak:
        return Peak(jnp.where(mask[..., None], power, -10.0).max((1, 2)))

    def __call__(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"] | None = None,
        statistics: Statistics = None,
        prepared: bool = False,
    ) -> AudioFeatures:
        """(b, n) samples in [-1, 1], at most 30 s -> (b, ceil(n / 640), d_model)."""
        del prepared  # nothing is done to the samples themselves
        _, frames = valid_frames(waveform, num_samples)
        mel = self.spectrogram(waveform, num_samples, statistics)
        x = self.network(mel, 4 * frames)[-1]
        weights = before(x.shape[1], 2 * frames)[..., None].astype(x.dtype)
        x = _triangle(x * weights) / jnp.maximum(_triangle(weights), 0.25)
        return jnp.where(before(x.shape[1], frames)[..., None], x, 0)

    def prepare(self, waveform: Samples) -> Samples:
        """The clip as it is."""
        return waveform

    def measure(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"],
        start: Int[Array, " b"],
        stop: Int[Array, " b"],
    ) -> Statistics:
        """The peak of the log-mel over windows centred in [start, stop)."""
        waveform, frames = valid_frames(waveform, num_samples)
        power = log_power(waveform, self.shape.num_mel_bins)
        centres = jnp.arange(power.shape[1]) * HOP
        mask = (centres >= start[:, None]) & (centres < stop[:, None])
        return self._peak(power, mask & before(power.shape[1], 4 * frames + _TAIL))


def _triangle(x: Float[Array, "b s c"]) -> Float[Array, "b t c"]:
    """(1/4, 1/2, 1/4) about every odd step; a missing step counts as zero."""
    x = jnp.pad(x, ((0, 0), (0, 1), (0, 0)))
    return 0.25 * x[:, 0:-1:2] + 0.5 * x[:, 1::2] + 0.25 * x[:, 2::2]
