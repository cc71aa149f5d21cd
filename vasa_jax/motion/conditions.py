"""Conditions of the motion model, C = [X_pre, A_pre; A, g, d, e] (VASA-1 section 3.2)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax.config import Config, MotionTrainConfig
from vasa_jax.typing import Array, Bool, Float, Key


class Conditions(NamedTuple):
    """One window's conditions, with a presence flag per condition and example.

    A value whose flag is False must be finite but is otherwise ignored: the network puts a learned
    null vector in its place. Motion is normalised (see `MotionStats`), frames are 25 per second.

    motion_context, audio_context: X_pre and A_pre, the last K frames of the window before.
    audio: A, the window's audio features; audio_valid is False for frames past the end of the
    speech, or dropped in training, whose tokens are the null audio token.
    gaze: (yaw, pitch) in radians. distance: head to camera, 1 is the mean of the training data.
    emotion: eight shares in the order of `vasa_jax.typing.EMOTIONS`.
    """

    motion_context: Float[Array, "b k m"]
    audio_context: Float[Array, "b k a"]
    audio: Float[Array, "b w a"]
    gaze: Float[Array, "b 2"]
    distance: Float[Array, "b 1"]
    emotion: Float[Array, "b 8"]
    has_context: Bool[Array, " b"]
    has_audio: Bool[Array, " b"]
    has_gaze: Bool[Array, " b"]
    has_distance: Bool[Array, " b"]
    has_emotion: Bool[Array, " b"]
    audio_valid: Bool[Array, "b w"]


CONDITION_NAMES = ("audio", "gaze", "distance", "emotion", "context")
"""Conditions that can be dropped and guided; `context` is X_pre and A_pre together."""


def without(conditions: Conditions, name: str) -> Conditions:
    """The conditions with `name` (one of CONDITION_NAMES) set to null for every example."""
    flag = f"has_{name}"
    return conditions._replace(**{flag: jnp.zeros_like(getattr(conditions, flag))})


def null_conditions(config: Config, batch: int = 1) -> Conditions:
    """Zeros with every flag False: for initialisation, and as a start to fill in."""
    values = {n: jnp.zeros(s.shape, s.dtype) for n, s in config.fake_window(batch).items()}
    del values["motion"]
    flags = {f"has_{name}": jnp.zeros(batch, bool) for name in CONDITION_NAMES}
    return Conditions(**values, **flags, audio_valid=jnp.zeros((batch, config.motion.window), bool))


def drop_conditions(
    key: Key[Array, ""], conditions: Conditions, config: MotionTrainConfig
) -> Conditions:
    """Random nulls for training, so that guidance and short audio work (VASA-1 section 3.2).

    Each condition is dropped with chance `drop_condition`, X_pre and A_pre jointly with chance
    `drop_context`, and with chance `drop_tail` the audio's last 1 to W - 1 frames are dropped. The
    paper says "the last few frames"; any length, since a clip may end anywhere in a window.
    """
    batch, window = conditions.audio_valid.shape
    keys = dict(zip((*CONDITION_NAMES, "tail", "length"), jax.random.split(key, 7), strict=True))
    changed = {}
    for name in CONDITION_NAMES:
        chance = config.drop_context if name == "context" else config.drop_condition
        flag = getattr(conditions, f"has_{name}")
        changed[f"has_{name}"] = flag & ~jax.random.bernoulli(keys[name], chance, (batch,))
    cut = jax.random.bernoulli(keys["tail"], config.drop_tail, (batch,))
    length = jax.random.randint(keys["length"], (batch,), 1, max(window, 2))
    kept = jnp.arange(window) < jnp.where(cut, window - length, window)[:, None]
    return conditions._replace(**changed, audio_valid=conditions.audio_valid & kept)
