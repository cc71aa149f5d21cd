"""The diffusion transformer over motion (VASA-1 section 3.2: 8 layers, width 512, 8 heads).

All conditions are tokens beside the noisy motion, concatenated along time:
[t, g, d, e, X_pre(K), A_pre(K), A(W), X_t(W)]. The network predicts the clean motion x0, read from
the X_t tokens. The paper leaves the layout inside open; what we chose is in `MotionConfig`.
"""

import math
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.config import MotionConfig
from vasa_jax.errors import UserError
from vasa_jax.motion.conditions import Conditions
from vasa_jax.motion.target import MotionTarget, Target
from vasa_jax.typing import Array, Bool, Float, Int

FLOAT32_PARTS = ("motion_embed", "head")
"""Parts of the parameters that are used in float32 whatever the compute type is."""

GAZE_SCALE = 0.1
"""Typical standard deviation of gaze, radians; brings that condition to unit scale."""

_norm = partial(nn.LayerNorm, dtype=jnp.float32)


def timestep_embedding(t: Int[Array, " b"], width: int) -> Float[Array, "b width"]:
    """Sines then cosines of t at `width / 2` frequencies from 1 to 1/10000 (DDPM, appendix B)."""
    half = width // 2
    frequencies = jnp.exp(-math.log(10_000) / half * jnp.arange(half, dtype=jnp.float32))
    angles = t.astype(jnp.float32)[:, None] * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def _sines(key, shape):
    """Initialiser: row i is the sinusoidal embedding of frame i; draws nothing."""
    return timestep_embedding(jnp.arange(shape[0]), shape[1])


def attention_mask(config: MotionConfig) -> Bool[np.ndarray, "n n"] | None:
    """Who may attend whom, (query, key); None when every token sees every token.

    With audio_attention="band" the motion token of frame i sees only the audio tokens (A_pre and
    A) of frames i - audio_band to i + audio_band; nothing else is restricted.
    """
    if config.audio_attention == "full":
        return None
    k, w = config.context, config.window
    scalars = 4 if config.time_conditioning == "token" else 3
    kinds = np.repeat(["s", "x_pre", "a_pre", "a", "x"], [scalars, k, k, w, w])
    past, present = np.arange(-k, 0), np.arange(w)
    frames = np.concatenate([np.zeros(scalars, int), past, past, present, present])
    near = np.abs(frames[:, None] - frames) <= config.audio_band
    restricted = (kinds == "x")[:, None] & np.isin(kinds, ["a_pre", "a"])
    return near | ~restricted


class Mlp(nn.Module):
    """Dense, activation, Dense; computes in `dtype`, parameters in float32. precision: of the
    products, where float32 is to be float32 on devices that would round their inputs."""

    hidden: int
    out: int
    dtype: Any = jnp.float32
    activation: Any = nn.gelu
    precision: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "*n i"]) -> Float[Array, "*n o"]:
        dense = partial(nn.Dense, dtype=self.dtype, precision=self.precision)
        x = dense(self.hidden, name="up")(x)
        return dense(self.out, name="down")(self.activation(x))


class Block(nn.Module):
    """One pre-norm transformer layer; with a modulation, adaLN-single (PixArt-alpha, 2.3).

    Tokens, the residual path, are float32; attention and MLP compute in `dtype`.
    """

    config: MotionConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        tokens: Float[Array, "b n d"],
        mask: Bool[np.ndarray, "n n"] | None = None,
        modulation: Float[Array, "b 6 d"] | None = None,
        keep: int | None = None,
    ) -> Float[Array, "b q d"]:
        """Only the last `keep` tokens (default: all) are queries and outputs; all n are keys.

        The last layer keeps the X_t tokens alone: the others, 60 % of all, are not read.
        """
        width, heads = self.config.width, self.config.heads
        batch, count, _ = tokens.shape
        keep = count if keep is None else keep
        gates: list[Array | float] = [1.0, 1.0]
        scales: list[Array | float] = [0.0, 0.0]
        shifts: list[Array | float] = [0.0, 0.0]
        if modulation is not None:
            offset = self.param("modulation", nn.initializers.normal(0.02), (6, width))
            rows = jnp.split((modulation + offset).astype(self.dtype), 6, axis=1)
            shifts, scales, gates = [rows[0], rows[3]], [rows[1], rows[4]], [rows[2], rows[5]]
        dense = partial(nn.Dense, dtype=self.dtype)

        h = _norm(name="norm_attention")(tokens).astype(self.dtype) * (1 + scales[0]) + shifts[0]
        query = dense(width, name="query")(h[:, count - keep :])
        key, value = jnp.split(dense(2 * width, name="key_value")(h), 2, axis=-1)
        h = _attend(
            query.reshape(batch, keep, heads, -1),
            key.reshape(batch, count, heads, -1),
            value.reshape(batch, count, heads, -1),
            None if mask is None else mask[count - keep :],
            self.config.attention_backend,
        )
        h = dense(width, name="attention_out")(h.reshape(batch, keep, width))
        tokens = tokens[:, count - keep :] + gates[0] * h

        h = _norm(name="norm_mlp")(tokens).astype(self.dtype) * (1 + scales[1]) + shifts[1]
        h = Mlp(width * self.config.ffn_multiple, width, self.dtype, name="mlp")(h)
        return tokens + gates[1] * h


def _attend(query, key, value, mask, backend):
    """(b, q, heads, c) attention; both backends take the softmax in float32."""
    if backend == "cudnn" and query.dtype == jnp.float32:
        raise UserError(
            "motion.attention_backend=cudnn computes in bf16 only; set precision=bf16 "
            "or motion.attention_backend=xla"
        )
    if mask is not None:
        mask = jnp.asarray(mask)[None, None]
        if backend == "cudnn":  # it refuses masks that broadcast (jax-ml/jax#28974)
            shape = (query.shape[0], query.shape[2], query.shape[1], key.shape[1])
            mask = jnp.broadcast_to(mask, shape)
    return jax.nn.dot_product_attention(query, key, value, mask=mask, implementation=backend)


class MotionTransformer(nn.Module):
    """x0 = H(x_t, t, C). `embed` then `denoise` is `__call__`, split so that a sampler embeds the
    conditions once per window and not once per step."""

    config: MotionConfig
    motion_dim: int
    dtype: Any = jnp.float32

    def setup(self):
        c = self.config
        small = nn.initializers.normal(0.02)
        names = ("gaze", "distance", "emotion", "motion_context", "audio_context", "audio")
        types = (*names, "motion") + (("time",) if c.time_conditioning == "token" else ())
        self.null = {n: self.param(f"null_{n}", small, (c.width,)) for n in names}
        self.type = {n: self.param(f"type_{n}", small, (c.width,)) for n in types}
        # One vector per frame, shared by the motion and the audio of that frame. It starts as
        # sines, so that finding the audio of one's own frame need not be learned from nothing.
        self.frame = self.param("frame_embedding", _sines, (c.context + c.window, c.width))
        # Where motion enters and leaves: what is rounded there differs from frame to frame, and
        # guidance multiplies it by 1 + sum of lambda_c. `Block` keeps its residual path so, too.
        exact = partial(Mlp, c.width, precision=jax.lax.Precision.HIGHEST)
        self.motion_embed, self.head = exact(c.width), exact(self.motion_dim)
        self.audio_embed = Mlp(c.width, c.width, self.dtype)
        self.gaze_embed = nn.Dense(c.width, dtype=self.dtype)
        self.distance_embed = nn.Dense(c.width, dtype=self.dtype)
        self.emotion_embed = nn.Dense(c.width, dtype=self.dtype)
        self.time_embed = Mlp(4 * c.width, c.width, self.dtype, nn.silu)
        if c.time_conditioning == "adaln":
            self.time_modulation = nn.Dense(6 * c.width, dtype=self.dtype)
        self.blocks = [Block(c, self.dtype) for _ in range(c.layers)]
        self.norm_out = _norm()

    def target(self, conditions: Conditions) -> Target:
        """The map between a window's motion and its x0: the identity."""
        del conditions
        return MotionTarget()

    def embed(self, conditions: Conditions) -> Float[Array, "b s d"]:
        """The condition tokens [g, d, e, X_pre, A_pre, A] of a window, s = 3 + 2 K + W."""
        c = conditions
        past, present = self.frame[: self.config.context], self.frame[self.config.context :]

        def token(name, value, present):
            return jnp.where(present[..., None], value, self.null[name]) + self.type[name]

        tokens = [
            token("gaze", self.gaze_embed(c.gaze / GAZE_SCALE), c.has_gaze)[:, None],
            token("distance", self.distance_embed(c.distance), c.has_distance)[:, None],
            token("emotion", self.emotion_embed(c.emotion), c.has_emotion)[:, None],
            token("motion_context", self.motion_embed(c.motion_context), c.has_context[:, None])
            + past,
            token("audio_context", self.audio_embed(c.audio_context), c.has_context[:, None])
            + past,
            token("audio", self.audio_embed(c.audio), c.has_audio[:, None] & c.audio_valid)
            + present,
        ]
        return jnp.concatenate(tokens, axis=1)

    def denoise(
        self,
        embedded: Float[Array, "b s d"],
        x_t: Float[Array, "b w m"],
        t: Int[Array, " b"],
        frame_valid: Bool[Array, "b w"] | None = None,
    ) -> Float[Array, "b w m"]:
        """The clean motion x0 in float32, from noisy motion at step t in 0..T-1.

        Frames with `frame_valid` False do not exist (the clip ended); their token is the null
        motion token, so that what pads them reaches no other frame.
        """
        w = self.config.window
        motion = self.motion_embed(x_t)
        if frame_valid is not None:
            motion = jnp.where(frame_valid[..., None], motion, self.null["motion_context"])
        motion = motion + self.type["motion"] + self.frame[self.config.context :]
        time = self.time_embed(timestep_embedding(t, self.config.width))
        parts, modulation = [embedded, motion], None
        if self.config.time_conditioning == "token":
            parts.insert(0, (time + self.type["time"])[:, None])
        else:
            modulation = self.time_modulation(nn.silu(time)).reshape(len(t), 6, -1)
        tokens, mask = jnp.concatenate(parts, axis=1), attention_mask(self.config)
        for block in self.blocks[:-1]:
            tokens = block(tokens, mask, modulation)
        tokens = self.blocks[-1](tokens, mask, modulation, w)
        return self.head(self.norm_out(tokens))

    def __call__(
        self,
        x_t: Float[Array, "b w m"],
        t: Int[Array, " b"],
        conditions: Conditions,
        frame_valid: Bool[Array, "b w"] | None = None,
    ) -> Float[Array, "b w m"]:
        """H(x_t, t, C): the clean motion x0 of the window, normalised, in float32."""
        return self.denoise(self.embed(conditions), x_t, t, frame_valid)
