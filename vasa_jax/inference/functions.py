"""The stages of a model as pure, jitted functions of its parameters, for gradients and own loops.

`Pipeline` runs fixed shapes, folded parameters and 8-bit frames; these take any batch and length
(each shape compiles once), `Bundle.params` as they are trained, and float images.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax.bundle import build_networks
from vasa_jax.config import Config
from vasa_jax.extensions.neutral_context import anchor_batch, context_batch, has_neutral_start
from vasa_jax.face.pose import vector_to_motion
from vasa_jax.motion.clips import window_count
from vasa_jax.motion.sampler import (
    LinenNetwork,
    WindowInputs,
    initial_carry,
    make_plan,
    sample_windows,
)
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import (
    EMOTIONS,
    SAMPLES_PER_FRAME,
    Array,
    AudioFeatures,
    Float,
    Image,
    Key,
    MotionVector,
    Source,
    Waveform,
)

__all__ = ["Functions", "pure_functions"]


class Functions(NamedTuple):
    """Jitted functions; `params` is {"face": …, "audio": …, "motion": …}."""

    encode: jax.stages.Wrapped
    """(params, images (b, size, size, 3) in [0, 1]) -> Source, b portraits (section 3.1)."""
    audio_features: jax.stages.Wrapped
    """(params, waveform (b, n), 16 kHz in [-1, 1]) -> (b, ceil(n / 640), a), one per frame.

    The waveform is taken as one chunk at the level it has: see `vasa_jax.audio.level`."""
    sample: jax.stages.Wrapped
    """(params, source, features (b, t, a), keys (b,), gaze=None, distance=None, emotion=None) ->
    motion (b, t, m), [pose, z_dyn] per frame (section 3.2).

    source: b portraits, or one. keys: `jax.random.key`s, one per clip. gaze: (b, 2) yaw and pitch
    in radians; distance: (b, 1); emotion: (b, 8) shares of `EMOTIONS`; None: the learned null."""
    decode: jax.stages.Wrapped
    """(params, source, motion (t, m)) -> images (t, size, size, 3) in [0, 1]; source: one portrait,
    or one per frame."""


def pure_functions(config: Config, stats: MotionStats) -> Functions:
    """The functions of one model, not compiled yet. stats: of its motion (`Bundle.stats`)."""
    networks = build_networks(config)
    network, (plan, weights) = LinenNetwork(networks.motion), make_plan(config.diffusion)
    size, context = config.motion.window, config.motion.context
    mean, std = jnp.asarray(stats.mean), jnp.asarray(stats.std)

    def encode(params: Any, images: Image) -> Source:
        variables = {"params": params["face"]}
        source: Any = networks.face.apply(variables, images, method="encode_portrait")
        return source

    def audio_features(params: Any, waveform: Waveform) -> AudioFeatures:
        features: Any = networks.audio.apply({"params": params["audio"]}, waveform)
        return features.astype(jnp.float32)

    def sample(
        params: Any,
        source: Source,
        features: AudioFeatures,
        keys: Key[Array, " b"],
        gaze: Float[Array, "b 2"] | None = None,
        distance: Float[Array, "b 1"] | None = None,
        emotion: Float[Array, "b 8"] | None = None,
    ) -> MotionVector:
        batch, frames, dim = features.shape
        count = window_count(frames, size)
        audio = jnp.pad(features, ((0, 0), (0, count * size - frames), (0, 0)))
        valid = (jnp.arange(count * size) < frames).reshape(count, size)
        inputs: dict[str, Any] = {
            "audio": audio.reshape(batch, count, size, dim),
            "audio_valid": jnp.broadcast_to(valid, (batch, count, size)),
        }
        given = {"gaze": (gaze, 2), "distance": (distance, 1), "emotion": (emotion, len(EMOTIONS))}
        for name, (value, width) in given.items():
            known = value is not None
            value = jnp.zeros((batch, width)) if value is None else jnp.asarray(value, jnp.float32)
            inputs[name] = jnp.repeat(value[:, None], count, axis=1)
            inputs[f"has_{name}"] = jnp.full((batch, count), known)
        carry = initial_carry(batch, context, len(mean), dim)
        pose = source.pose if has_neutral_start(config) else None
        if pose is not None:
            silence = audio_features(params, jnp.zeros((1, context * SAMPLES_PER_FRAME)))
            carry = context_batch(carry, pose, MotionStats(mean, std), silence, distance)
        variables = {"params": params["motion"]}
        _, motion = sample_windows(
            network, plan, variables, carry, WindowInputs(**inputs), keys, weights
        )
        motion = motion.reshape(batch, count * size, -1)[:, :frames] * std + mean
        return motion if pose is None else anchor_batch(motion, pose, mean, distance)

    def decode(params: Any, source: Source, motion: Float[Array, "t m"]) -> Image:
        variables, vectors = {"params": params["face"]}, vector_to_motion(motion)
        images: Any = networks.face.apply(variables, source, vectors, method="decode")
        return images

    return Functions(jax.jit(encode), jax.jit(audio_features), jax.jit(sample), jax.jit(decode))
