"""Group norms, plain and adaptive, and the pre-activation residual block of MegaPortraits."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.resize import nearest_up2
from vasa_jax.typing import Array, Float

__all__ = ["AdaGroupNorm", "GroupNorm", "ResBlock", "group_moments"]

EPSILON = 1e-5


def group_moments(
    x: Float[Array, "b *space c"], groups: int
) -> tuple[Float[Array, "b c"], Float[Array, "b c"]]:
    """Mean and 1 / standard deviation of each channel's group, float32, repeated per channel.

    One pass over x: sums of x and x^2 per channel come first, groups are formed from those few
    numbers, so that the big array is neither reshaped nor read twice.
    """
    b, c = x.shape[0], x.shape[-1]
    axes = tuple(range(1, x.ndim - 1))
    x = x.astype(jnp.float32)
    first = jnp.mean(x, axes).reshape(b, groups, c // groups).mean(-1)
    second = jnp.mean(x * x, axes).reshape(b, groups, c // groups).mean(-1)
    scale = lax.rsqrt(jnp.maximum(second - first**2, 0.0) + EPSILON)
    return jnp.repeat(first, c // groups, -1), jnp.repeat(scale, c // groups, -1)


def _affine(x, mean, inverse, gamma, beta, dtype):
    """(x - mean) * inverse * gamma + beta as one multiplication and addition, in float32."""
    gain = inverse * gamma
    shape = (gain.shape[0],) + (1,) * (x.ndim - 2) + (gain.shape[-1],)
    shift = beta - mean * gain
    return (x.astype(jnp.float32) * gain.reshape(shape) + shift.reshape(shape)).astype(dtype)


class GroupNorm(nn.Module):
    """Group normalisation (Wu and He 2018, 1803.08494); statistics and affine map in float32."""

    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *space c"]:
        c = x.shape[-1]
        gamma = self.param("scale", nn.initializers.ones, (c,), jnp.float32)
        beta = self.param("bias", nn.initializers.zeros, (c,), jnp.float32)
        mean, inverse = group_moments(x, math.gcd(self.options.groups, c))
        return _affine(x, mean, inverse, gamma, beta, self.options.dtype)


class AdaGroupNorm(nn.Module):
    """Group norm whose gain and bias come from an embedding map (MegaPortraits, Figure 9).

    [gamma - 1, beta] = U[c, e] embed[e, s*s] V[s*s, 2], a low-rank projection with its own U and V
    per layer. Both start random, so that gradients reach the embedding at the first step, and
    small enough (a quarter of the embedding's scale) for gamma to stay near 1.
    """

    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *space c"], embed: Float[Array, "b s s e"]
    ) -> Float[Array, "b *space c"]:
        b, s, _, e = embed.shape
        c = x.shape[-1]
        normal = nn.initializers.normal
        u = self.param("u", normal(1.0 / math.sqrt(e)), (c, e), jnp.float32)
        v = self.param("v", normal(0.25 / s), (s * s, 2), jnp.float32)
        pooled = jnp.einsum("bpe,pk->bek", embed.astype(jnp.float32).reshape(b, s * s, e), v)
        modulation = jnp.einsum("bek,ce->bck", pooled, u)
        mean, inverse = group_moments(x, math.gcd(self.options.groups, c))
        return _affine(
            x, mean, inverse, 1.0 + modulation[..., 0], modulation[..., 1], self.options.dtype
        )


class ResBlock(nn.Module):
    """GN, ReLU, conv3, GN, ReLU, conv3, plus a skip (MegaPortraits, Figure 9).

    The skip is the identity, or a size-3 convolution where the channels change. With `embed` the
    norms are adaptive. up2: the block works on its input upsampled x2 (2-D only); normalising
    first and upsampling after is the same thing, and lets `conv2d_up2` do the rest.
    """

    features: int
    dims: int = 2
    up2: bool = False
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *space c"], embed: Float[Array, "b s s e"] | None = None
    ) -> Float[Array, "..."]:
        def norm(y, name):
            if embed is None:
                return GroupNorm(self.options, name=name)(y)
            return AdaGroupNorm(self.options, name=name)(y, embed)

        def conv(name, up2):
            return Conv(self.features, dims=self.dims, up2=up2, options=self.options, name=name)

        y = conv("conv1", self.up2)(jax.nn.relu(norm(x, "norm1")))
        y = conv("conv2", False)(jax.nn.relu(norm(y, "norm2")))
        if x.shape[-1] != self.features:
            skip = conv("skip", self.up2)(x)
        else:
            skip = nearest_up2(x) if self.up2 else x
        return y + skip
