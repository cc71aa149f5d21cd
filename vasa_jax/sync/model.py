"""The two networks of `av_sync`: lips and sound into one space, 25 vectors a second."""

import jax
from flax import linen as nn
from jax import numpy as jnp

from vasa_jax.config.sync import SyncNetworkConfig
from vasa_jax.sync.lips import POINTS
from vasa_jax.sync.sound import HOPS
from vasa_jax.typing import Array, Float

__all__ = ["LIP_FEATURES", "SyncNetwork", "sound_features"]

LIP_FEATURES = 3 * len(POINTS)


def sound_features(config: SyncNetworkConfig) -> int:
    """Numbers a frame of the log-mel spectrogram."""
    return HOPS * config.mel_bins


class Tower(nn.Module):
    """Residual convolutions over time; norms act on single frames, zeros lie beyond the ends."""

    config: SyncNetworkConfig

    @nn.compact
    def __call__(
        self, features: Float[Array, "b t f"], inside: Float[Array, "b t 1"] | None = None
    ) -> Float[Array, "b t e"]:
        """inside: 1 for frames of the clip, 0 beyond its ends; None: all are of it."""
        c = self.config
        x = nn.Dense(c.width, name="stem")(features)
        for i in range(c.blocks):
            y = nn.LayerNorm(use_fast_variance=False, name=f"norm_{i}")(x)
            y = y if inside is None else y * inside
            y = nn.Conv(c.width, (c.kernel,), name=f"conv_{i}")(y)
            x = x + nn.Dense(c.width, name=f"mix_{i}")(jax.nn.gelu(y))
        x = nn.LayerNorm(use_fast_variance=False, name="norm")(x)
        return nn.Dense(c.dim, name="out")(x)


class SyncNetwork(nn.Module):
    """Embeddings of lips and of sound; those of one instant lie near each other.

    `log_temperature` turns distances into logits in training.
    """

    config: SyncNetworkConfig

    def setup(self):
        self.lips, self.sounds = Tower(self.config), Tower(self.config)
        self.log_temperature = self.param("log_temperature", nn.initializers.ones, ())

    def __call__(
        self, lips: Float[Array, "b t f"], sounds: Float[Array, "b u g"]
    ) -> tuple[Float[Array, "b t e"], Float[Array, "b u e"], Float[Array, " b"]]:
        """Embeddings of both, and the logarithm of the temperature, once an example.

        lips: `align_lips` without its mean, flat. sounds: `log_mel_frames` without its mean.
        """
        scale = jnp.broadcast_to(self.log_temperature, (len(lips),))
        return self.lips(lips), self.sounds(sounds), scale

    def embed_lips(
        self, lips: Float[Array, "b t f"], inside: Float[Array, "b t 1"]
    ) -> Float[Array, "b t e"]:
        return self.lips(lips, inside)

    def embed_sounds(
        self, sounds: Float[Array, "b t g"], inside: Float[Array, "b t 1"]
    ) -> Float[Array, "b t e"]:
        return self.sounds(sounds, inside)
