"""The multi-scale patch discriminator of stage 1 and its hinge losses (MegaPortraits, appendix)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vasa_jax.face.image_losses import halve
from vasa_jax.typing import Array, Float, Image


class DiscriminatorOutput(NamedTuple):
    """Output of the discriminator at one scale."""

    score: Float[Array, "b _ _ 1"]
    """Logit of each patch; positive is real."""
    features: tuple[Float[Array, "b _ _ _"], ...]
    """Feature maps of the hidden layers, for `feature_matching`."""


DiscriminatorFunction = Callable[[Image], tuple[DiscriminatorOutput, ...]]


def _normalise(x: Float[Array, " n"]) -> Float[Array, " n"]:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


class SpectralConv(nn.Module):
    """Convolution with spectral normalisation (Miyato et al. 2018, 1802.05957).

    The kernel is divided by its largest singular value, by power iteration. The vectors u and v are
    in the collection "spectral"; each call makes one iteration where that collection is mutable,
    none otherwise. As in torch's spectral_norm, u and v carry no gradient.
    """

    features: int
    kernel: int = 4
    stride: int = 1
    padding: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        matrix = kernel.reshape(-1, self.features)
        flat = jax.lax.stop_gradient(matrix)

        def start() -> dict[str, Array]:
            u = _normalise(jax.random.normal(self.make_rng("params"), (self.features,)))
            u = jax.lax.fori_loop(0, 15, lambda _, u: _normalise(flat.T @ (flat @ u)), u)
            return {"u": u, "v": _normalise(flat @ u)}

        state = self.variable("spectral", "vectors", start)
        if self.is_mutable_collection("spectral") and not self.is_initializing():
            v = _normalise(flat @ state.value["u"])
            state.value = {"u": _normalise(flat.T @ v), "v": v}
        u, v = jax.lax.stop_gradient((state.value["u"], state.value["v"]))
        kernel = (kernel / (v @ matrix @ u)).astype(self.dtype)
        y = jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            kernel,
            (self.stride, self.stride),
            [(self.padding,) * 2] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y + bias.astype(self.dtype)


class InstanceNorm(nn.Module):
    """Zero mean and unit variance per image and channel, then a learned scale and shift; f32."""

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        y = x.astype(jnp.float32)
        mean, variance = y.mean((1, 2), keepdims=True), y.var((1, 2), keepdims=True)
        y = (y - mean) * jax.lax.rsqrt(variance + self.epsilon) * scale + bias
        return y.astype(x.dtype)


class PatchDiscriminator(nn.Module):
    """PatchGAN discriminator: per width a 4x4 convolution (stride 2, the last 1), instance norm and
    leaky ReLU; then a 1x1 convolution to the score."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Image) -> DiscriminatorOutput:
        x, features = images * 2 - 1, []
        for i, width in enumerate(self.widths):
            stride = 1 if i == len(self.widths) - 1 else 2
            x = SpectralConv(width, 4, stride, 1, self.dtype, name=f"conv{i}")(x)
            x = nn.leaky_relu(InstanceNorm(name=f"norm{i}")(x), 0.2)
            features.append(x.astype(jnp.float32))
        score = SpectralConv(1, 1, 1, 0, self.dtype, name="score")(x)
        return DiscriminatorOutput(score.astype(jnp.float32), tuple(features))


class Discriminator(nn.Module):
    """A PatchDiscriminator per scale, each on images half the size of the one before.

    To train the discriminator, apply it with `mutable=["spectral"]` and keep the state that it
    returns; to train the generator, apply it without.
    """

    scales: int = 2
    widths: tuple[int, ...] = (64, 128, 256, 512)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Image) -> tuple[DiscriminatorOutput, ...]:
        """Images (b, h, w, 3) in [0, 1]; h and w at least 32 for two scales."""
        out = []
        for i in range(self.scales):
            images = halve(images) if i else images
            out.append(PatchDiscriminator(self.widths, self.dtype, name=f"scale{i}")(images))
        return tuple(out)


def discriminator_loss(
    real: tuple[DiscriminatorOutput, ...], fake: tuple[DiscriminatorOutput, ...]
) -> Float[Array, ""]:
    """Hinge: E max(0, 1 - D(real)) + E max(0, 1 + D(fake)), mean over scales.

    The caller detaches the fake images.
    """
    losses = [
        jnp.mean(nn.relu(1 - r.score)) + jnp.mean(nn.relu(1 + f.score))
        for r, f in zip(real, fake, strict=True)
    ]
    return sum(losses, jnp.zeros(())) / len(losses)


def generator_loss(fake: tuple[DiscriminatorOutput, ...]) -> Float[Array, ""]:
    """-E D(fake), mean over scales."""
    return -sum((jnp.mean(f.score) for f in fake), jnp.zeros(())) / len(fake)


def feature_matching(
    real: tuple[DiscriminatorOutput, ...], fake: tuple[DiscriminatorOutput, ...]
) -> Float[Array, ""]:
    """L1 of the discriminator's features, mean over layers and scales; real ones are targets."""
    losses = [
        jnp.mean(jnp.abs(jax.lax.stop_gradient(a) - b))
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r.features, f.features, strict=True)
    ]
    return sum(losses, jnp.zeros(())) / len(losses)
