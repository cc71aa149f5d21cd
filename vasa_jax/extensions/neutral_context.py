"""Neutral starts: a clip begins at rest, in silence, with the head where its portrait has it.

VASA-1 starts a clip from a learned null context (section 3.2): the first window takes any head pose
and expression of the training data, and a frame shows the head wherever the model put it.

`demo` needs another start. Its training heads have places and sizes of their own, and its frames
are composed of the portrait's pixels: a head that leaves the portrait's place uncovers what no
photo shows. Giving the sampler such a context is not enough: in training clips the frames before a
window have the window's own gaze and emotion, so that a model that saw only those keeps the neutral
expression that it is given, whatever the controls say.

In training, a share `motion.extensions.neutral_start` of windows follows a neutral, silent context
(`blend_from_neutral`, `mute_context`). At inference the first window has that context
(`initial_context`), and the generated head is moved to the portrait's place and size
(`anchor_to_portrait`). With a share of 0, as in the paper, none of it runs.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from vasa_jax.config import Config
from vasa_jax.motion.sampler import WindowCarry
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import (
    LOG_SCALE,
    POSE_DIM,
    ROTATION,
    TRANSLATION,
    Array,
    Bool,
    Float,
    Pose,
)

__all__ = [
    "BLEND_FRAMES",
    "InitialContext",
    "PortraitAnchor",
    "anchor_batch",
    "anchor_to_portrait",
    "blend_from_neutral",
    "context_batch",
    "has_neutral_start",
    "initial_context",
    "mute_context",
    "with_initial_context",
]

BLEND_FRAMES = 8
"""Frames in which a training window's expression goes from neutral to the clip's own."""


def has_neutral_start(config: Config) -> bool:
    """Whether clips of this model begin with a neutral context and stay at the portrait's head."""
    return config.motion.extensions.neutral_start > 0


class InitialContext(NamedTuple):
    """The k context frames of a clip's first window, in the face model's units."""

    motion: Float[np.ndarray, "k m"]
    audio: Float[np.ndarray, "k a"]


def initial_context(
    pose: Pose,
    stats: MotionStats,
    distance: float | None,
    silence: Float[np.ndarray, "k a"],
) -> InitialContext:
    """The portrait's head, held in silence with the mean expression.

    pose: the portrait's, b = 1. distance: of the head, relative to the portrait's; None: the
    training data's mean size. silence: audio features of k silent frames.
    """
    motion = np.array(stats.mean)
    motion[ROTATION] = np.asarray(pose.rotation)[0]
    motion[TRANSLATION] = np.asarray(pose.translation)[0]
    if distance is not None:
        motion[LOG_SCALE] = np.asarray(pose.log_scale)[0] - math.log(distance)
    return InitialContext(np.tile(motion, (len(silence), 1)), silence)


def with_initial_context(
    carry: WindowCarry, contexts: Sequence[InitialContext | None], stats: MotionStats
) -> WindowCarry:
    """The carry before the first windows, with a context for each clip that has one."""
    motion: Any = np.array(carry.motion_context)
    audio: Any = np.array(carry.audio_context)
    known: Any = np.array(carry.has_context)
    for row, context in enumerate(contexts):
        if context is not None:
            motion[row], audio[row] = stats.normalise(context.motion), context.audio
            known[row] = True
    return WindowCarry(motion, audio, known, carry.number)


def anchor_to_portrait(
    motion: Float[np.ndarray, "t m"],
    pose: Pose,
    stats: MotionStats,
    distance: float | None = 1.0,
    start: Float[np.ndarray, " m"] | None = None,
) -> Float[np.ndarray, "t m"]:
    """Motion shifted in translation and log scale so that it starts at the portrait's head.

    pose: the portrait's, b = 1. distance: of the first frame, relative to the portrait's; None: as
    generated, for a portrait of mean size. start: the clip's first frame, where `motion` is a later
    part of it.
    """
    start = motion[0] if start is None else start
    moved = np.array(motion)
    moved[:, TRANSLATION] += np.asarray(pose.translation)[0] - start[TRANSLATION]
    if distance is None:
        from_size = np.asarray(stats.mean)[LOG_SCALE]
    else:
        from_size = start[LOG_SCALE] + math.log(distance)
    moved[:, LOG_SCALE] += np.asarray(pose.log_scale)[0] - from_size
    return moved


class PortraitAnchor:
    """`anchor_to_portrait` of one clip whose frames come part by part, from its first on."""

    def __init__(self, pose: Pose, stats: MotionStats, distance: float | None):
        self._pose, self._stats, self._distance = pose, stats, distance
        self._start: np.ndarray | None = None

    def __call__(self, motion: Float[np.ndarray, "t m"]) -> Float[np.ndarray, "t m"]:
        """The next frames, at least one of them."""
        if self._start is None:
            self._start = motion[0]
        return anchor_to_portrait(motion, self._pose, self._stats, self._distance, self._start)


def context_batch(
    carry: WindowCarry,
    pose: Pose,
    stats: MotionStats,
    silence: Float[Array, "1 k a"],
    distance: Float[Array, "b 1"] | None,
) -> WindowCarry:
    """`initial_context` of b clips in their carry, in JAX. pose: of b portraits, or one."""
    mean = jnp.asarray(stats.mean)
    size = mean[LOG_SCALE] if distance is None else pose.log_scale - jnp.log(distance)
    batch, context, _ = carry.motion_context.shape
    parts = (pose.rotation, pose.translation, size, mean[POSE_DIM:])
    widths = (3, 3, 1, len(mean) - POSE_DIM)
    rows = [jnp.broadcast_to(part, (batch, n)) for part, n in zip(parts, widths, strict=True)]
    motion = (jnp.concatenate(rows, 1) - mean) / jnp.asarray(stats.std)
    return carry._replace(
        motion_context=jnp.repeat(motion[:, None], context, axis=1),
        audio_context=jnp.broadcast_to(silence, carry.audio_context.shape),
        has_context=jnp.ones(batch, bool),
    )


def anchor_batch(
    motion: Float[Array, "b t m"],
    pose: Pose,
    mean: Float[Array, " m"],
    distance: Float[Array, "b 1"] | None,
) -> Float[Array, "b t m"]:
    """`anchor_to_portrait` of b clips in JAX. pose: of b portraits, or one."""
    start = motion[:, 0]
    from_size = mean[LOG_SCALE] if distance is None else start[:, LOG_SCALE] + jnp.log(distance)
    place = pose.translation - start[:, TRANSLATION]
    motion = motion.at[:, :, TRANSLATION].add(place[:, None])
    return motion.at[:, :, LOG_SCALE].add((pose.log_scale - from_size)[:, None])


def blend_from_neutral(
    motion: Float[np.ndarray, "f m"], mean: Float[np.ndarray, " m"], context: int
) -> Float[np.ndarray, "f m"]:
    """A training window as if it were a clip's first.

    motion: `context` frames, then the window. mean: motion whose z_dyn is the neutral expression.
    Context frames get the window's first pose and the neutral expression, from which the window's
    z_dyn departs by a smooth step over `BLEND_FRAMES`.
    """
    found = motion.copy()
    found[:context] = motion[context]
    found[:context, POSE_DIM:] = mean[POSE_DIM:]
    window = found[context:]
    x = np.minimum((np.arange(len(window)) + 1) / (BLEND_FRAMES + 1), 1)[:, None]
    share = x * x * (3 - 2 * x)
    window[:, POSE_DIM:] = (1 - share) * mean[POSE_DIM:] + share * window[:, POSE_DIM:]
    return found


def mute_context(
    features: Float[Array, "b f a"], silence: Float[Array, "#b k a"], muted: Bool[Array, " b"]
) -> Float[Array, "b f a"]:
    """Audio features whose first k frames are those of silence, in the rows that are muted."""
    context = silence.shape[1]
    before = jnp.where(muted[:, None, None], silence, features[:, :context])
    return jnp.concatenate([before, features[:, context:]], 1)
