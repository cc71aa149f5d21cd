"""Wav2Vec2 (Baevski et al. 2020), base and large, as VASA-1 section 3.2 uses it for audio.

Written from the paper and checked layer by layer against Hugging Face's PyTorch model. Weight
normalisation of the positional convolution is folded into its kernel when weights are loaded, so
the network is meant to stay frozen (or to be fine-tuned without that reparametrisation).
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vasa_jax.audio.protocol import Moments, Statistics, before, valid_frames
from vasa_jax.audio.samples import Samples, Standardised
from vasa_jax.audio.transformer import Layer, layer_norm
from vasa_jax.errors import UserError
from vasa_jax.typing import Array, AudioFeatures, Bool, Float, Int, Waveform


@dataclass(frozen=True)
class Wav2Vec2Shape:
    """The sizes of one Wav2Vec2, named as in Hugging Face's config.json; defaults are `base`."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    feat_extract_norm: str = "group"
    do_stable_layer_norm: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    layer_norm_eps: float = 1e-5

    @property
    def stride(self) -> int:
        """Samples between two features of the convolutional front end."""
        return math.prod(self.conv_stride)

    @property
    def receptive(self) -> int:
        """Samples that one feature of the convolutional front end sees."""
        reach, step = 1, 1
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            reach, step = reach + (kernel - 1) * step, step * stride
        return reach

    @classmethod
    def from_json(cls, data: dict) -> "Wav2Vec2Shape":
        """The shape that a Hugging Face config.json describes.

        Raises UserError where it asks for something this network has not got.
        """
        wanted = {
            "hidden_act": "gelu",
            "feat_extract_activation": "gelu",
            "add_adapter": False,
            "adapter_attn_dim": None,
        }
        for key, value in wanted.items():
            if data.get(key, value) != value:
                raise UserError(
                    f"this Wav2Vec2 has {key}={data[key]!r}, but only {value!r} is "
                    "supported; use the weights of another variant"
                )
        if data.get("feat_extract_norm", "group") not in ("group", "layer"):
            raise UserError(
                f"this Wav2Vec2 has feat_extract_norm={data['feat_extract_norm']!r}, "
                "which is neither 'group' nor 'layer'"
            )
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known
        }
        return cls(**values)


VARIANTS = {
    "base": Wav2Vec2Shape(),
    "large": Wav2Vec2Shape(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    ),
}
"""`large` is the LV-60 and XLSR-53 shape, with per-frame norms in its front end."""


class ClipNorm(nn.Module):
    """Each channel to zero mean and unit variance over time (GroupNorm with a group a channel)."""

    channels: int
    eps: float = 1e-5

    def setup(self):
        self.scale = self.param("scale", nn.initializers.ones_init(), (self.channels,))
        self.bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))

    def __call__(self, x: Float[Array, "b t c"], moments: Moments) -> Float[Array, "b t c"]:
        variance = moments.squares / jnp.maximum(moments.steps, 1)[:, None]
        gain = jax.lax.rsqrt(variance + self.eps)[:, None] * self.scale
        return (x.astype(jnp.float32) - moments.mean[:, None]) * gain + self.bias


def moments_of(x: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Moments:
    """Moments over the masked steps, in float32."""
    x, mask = x.astype(jnp.float32), mask[..., None]
    count = mask.sum(1).astype(jnp.float32)
    mean = jnp.where(mask, x, 0).sum(1) / jnp.maximum(count, 1)
    squares = jnp.where(mask, (x - mean[:, None]) ** 2, 0).sum(1)
    return Moments(count[:, 0], mean, squares)


class Wav2Vec2(nn.Module):
    """Normalised samples to the hidden states of every layer, at 50 Hz."""

    shape: Wav2Vec2Shape
    dtype: DTypeLike = jnp.float32

    def setup(self):
        s = self.shape
        self.convs = [
            nn.Conv(c, (k,), (d,), padding="VALID", use_bias=s.conv_bias, dtype=self.dtype)
            for c, k, d in zip(s.conv_dim, s.conv_kernel, s.conv_stride, strict=True)
        ]
        if s.feat_extract_norm == "group":
            self.conv_norms = [ClipNorm(s.conv_dim[0])]
        else:
            self.conv_norms = [layer_norm() for _ in s.conv_dim]
        self.feature_norm = layer_norm(s.layer_norm_eps)
        self.projection = nn.Dense(s.hidden_size, dtype=self.dtype)
        half = s.num_conv_pos_embeddings // 2
        even = 1 - s.num_conv_pos_embeddings % 2  # an even kernel's surplus last step is dropped
        self.positions = nn.Conv(
            s.hidden_size,
            (s.num_conv_pos_embeddings,),
            padding=[(half, half - even)],
            feature_group_count=s.num_conv_pos_embedding_groups,
            dtype=self.dtype,
        )
        self.norm = layer_norm(s.layer_norm_eps)
        self.layers = [
            Layer(
                s.hidden_size,
                s.num_attention_heads,
                s.intermediate_size,
                s.do_stable_layer_norm,
                s.layer_norm_eps,
                dtype=self.dtype,
            )
            for _ in range(s.num_hidden_layers)
        ]

    def first_conv(self, samples: Waveform) -> Float[Array, "b t c"]:
        """The first convolution, before its norm."""
        return self.convs[0](samples[..., None])

    def lengths(self, num_samples: Int[Array, " b"], layers: int) -> Int[Array, " b"]:
        """Steps that the first `layers` convolutions make of so many samples."""
        for kernel, stride in list(
            zip(self.shape.conv_kernel, self.shape.conv_stride, strict=True)
        )[:layers]:
            num_samples = (num_samples - kernel) // stride + 1
        return jnp.maximum(num_samples, 0)

    def __call__(
        self,
        samples: Waveform,
        num_samples: Int[Array, " b"] | None = None,
        moments: Moments | None = None,
    ) -> tuple[Float[Array, "b t c"], ...]:
        """Hidden states: the transformer's input, then each layer's output; the last is final.

        With stable layer norm one more entry follows, the final norm of the last layer. `moments`
        are those of the first convolution over the whole clip, default over the row itself.
        """
        if num_samples is None:
            num_samples = jnp.full((samples.shape[0],), samples.shape[1], jnp.int32)
        x = self.first_conv(samples)
        for i in range(len(self.convs)):
            x = self.convs[i](x) if i else x
            if i < len(self.conv_norms):
                if self.shape.feat_extract_norm == "layer":
                    x = self.conv_norms[i](x)
                else:
                    valid = before(x.shape[1], self.lengths(num_samples, 1))
                    x = self.conv_norms[i](x, moments_of(x, valid) if moments is None else moments)
            x = jax.nn.gelu(x, approximate=False)
        x = self.projection(self.feature_norm(x))
        mask = before(x.shape[1], self.lengths(num_samples, len(self.convs)))
        x = jnp.where(mask[..., None], x.astype(jnp.float32), 0)
        x = x + jax.nn.gelu(self.positions(x), approximate=False)
        if not self.shape.do_stable_layer_norm:
            x = self.norm(x)
        hidden = [x]
        for layer in self.layers:
            hidden.append(layer(hidden[-1], mask))
        if self.shape.do_stable_layer_norm:
            hidden.append(self.norm(hidden[-1]))
        return tuple(hidden)


def normalise(waveform: Waveform, num_samples: Int[Array, " b"]) -> Waveform:
    """Zero mean and unit variance over each row's real samples; zero beyond them."""
    mask = before(waveform.shape[1], num_samples)
    moments = moments_of(waveform[..., None], mask)
    variance = moments.squares / jnp.maximum(moments.steps, 1)[:, None]
    return jnp.where(mask, (waveform - moments.mean) * jax.lax.rsqrt(variance + 1e-7), 0)


class Wav2Vec2Encoder(nn.Module):
    """Wav2Vec2's last layer at 25 Hz, one feature a video frame; see `protocol.AudioEncoder`."""

    shape: Wav2Vec2Shape = VARIANTS["base"]
    dtype: DTypeLike = jnp.float32

    sets_level = True

    def setup(self):
        if self.shape.stride != 320 or self.shape.receptive < 320:
            raise UserError(
                "this Wav2Vec2 does not make 50 features a second (the product of its "
                f"conv_stride is {self.shape.stride}, not 320)"
            )
        self.network = Wav2Vec2(self.shape, self.dtype)

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.shape.hidden_size

    @property
    def _pads(self) -> tuple[int, int]:
        surplus = self.shape.receptive - self.shape.stride
        return surplus // 2, surplus - surplus // 2

    def __call__(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"] | None = None,
        statistics: Statistics = None,
        prepared: bool = False,
    ) -> AudioFeatures:
        """(b, n) samples -> (b, ceil(n / 640), hidden_size)."""
        if not prepared:
            ends = jnp.full((waveform.shape[0],), waveform.shape[1], jnp.int32)
            waveform = normalise(waveform, ends if num_samples is None else num_samples)
        waveform, frames = valid_frames(waveform, num_samples)
        samples = jnp.pad(waveform, ((0, 0), self._pads))
        x = self.network(samples, frames * 640 + sum(self._pads), statistics)[-1]
        x = x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2]).mean(2)
        return jnp.where(before(x.shape[1], frames)[..., None], x, 0)

    def prepare(self, waveform: Samples) -> Samples:
        """The clip with zero mean and unit variance, as the pretraining had it."""
        return Standardised(waveform, 1e-7)

    def measure(
        self,
        waveform: Waveform,
        num_samples: Int[Array, " b"],
        start: Int[Array, " b"],
        stop: Int[Array, " b"],
    ) -> Statistics:
        """Moments of the first convolution's steps that begin in [start, stop), for its norm."""
        if self.shape.feat_extract_norm != "group":
            return None
        waveform, frames = valid_frames(waveform, num_samples)
        x = self.network.first_conv(jnp.pad(waveform, ((0, 0), self._pads)))
        begins = jnp.arange(x.shape[1]) * self.shape.conv_stride[0] - self._pads[0]
        mask = (begins >= start[:, None]) & (begins < stop[:, None])
        ends = self.network.lengths(frames * 640 + sum(self._pads), 1)
        return moments_of(x, mask & before(x.shape[1], ends))
