"""CAPP's two encoders in Linen."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.build import build_audio_encoder
from vasa_jax.audio.protocol import AudioEncoder
from vasa_jax.audio.transformer import Layer
from vasa_jax.capp.poses import pose_tokens
from vasa_jax.config.capp import CappConfig, CappNetworkConfig
from vasa_jax.typing import Array, Float, Waveform

FIRST_TEMPERATURE = 0.07
"""Of the softmax before training (CLIP, section 2.5)."""


class Tower(nn.Module):
    """Frames to embeddings: `patch` frames a token, places that begin as sines, pre-norm
    transformer layers, pooling, projection, length 1."""

    config: CappNetworkConfig
    layers: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, frames: Float[Array, "b t c"]) -> Float[Array, "b e"]:
        c = self.config
        count = c.window // c.patch
        x = frames.reshape(len(frames), count, -1)
        x = nn.Dense(c.width, dtype=self.dtype, name="stem")(x).astype(jnp.float32)
        x = x + self.param("places", lambda _: jnp.asarray(_sines(count, c.width)))
        seen = jnp.ones(x.shape[:2], bool)
        for i in range(self.layers):
            layer = Layer(
                c.width,
                c.heads,
                c.ffn_multiple * c.width,
                True,
                dtype=self.dtype,
                name=f"layer_{i}",
            )
            x = layer(x, seen)
        x = nn.LayerNorm(dtype=jnp.float32, use_fast_variance=False, name="norm")(x)
        if c.pooling == "mean":
            x = x.mean(1)
        x = nn.Dense(c.embed, use_bias=False, dtype=self.dtype, name="project")(x)
        x = x.reshape(len(x), -1).astype(jnp.float32)
        # The root of a sum that is never 0: a length of 0 has no gradient.
        return x / jnp.sqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-12)


class Capp(nn.Module):
    """Both encoders and the learned temperature. Parameters: "pose", "encoder" (the speech
    network), "audio" (what follows it), "log_scale"."""

    config: CappNetworkConfig
    encoder: AudioEncoder
    dtype: Any = jnp.float32

    def setup(self):
        self.pose = Tower(self.config, self.config.layers, self.dtype)
        self.audio = Tower(self.config, self.config.audio_layers, self.dtype)
        self.log_scale = self.param(
            "log_scale", nn.initializers.constant(-np.log(FIRST_TEMPERATURE)), ()
        )

    def embed_pose(self, rotation: Float[Array, "b t 3"]) -> Float[Array, "b e"]:
        """Embeddings of length 1 of windows of pitch, yaw and roll, radians."""
        return self.pose(pose_tokens(rotation))

    def embed_audio(self, waveform: Waveform) -> Float[Array, "b e"]:
        """Embeddings of length 1 of windows of 16 kHz samples in [-1, 1]; each is heard by
        itself."""
        return self.audio(self.encoder(waveform))

    def __call__(
        self, rotation: Float[Array, "b t 3"], waveform: Waveform
    ) -> tuple[Float[Array, "b e"], Float[Array, "b e"], Float[Array, ""]]:
        """Pose embeddings, audio embeddings, logarithm of the inverse temperature."""
        return self.embed_pose(rotation), self.embed_audio(waveform), self.log_scale


def build_capp(config: CappConfig) -> Capp:
    """The Linen module of a config. Raises UserError for an unknown speech network."""
    return Capp(config.capp, build_audio_encoder(config.audio, config.dtype), config.dtype)


def _sines(count: int, width: int) -> Float[np.ndarray, "t w"]:
    """Sines, then cosines, of the place at `width / 2` frequencies from 1 to 1 / 10000."""
    rates = 10_000.0 ** (-np.arange(width // 2) / (width // 2))
    angles = np.arange(count)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)
