"""From whole clips on the host to windows on the device, and back."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.config import MotionConfig
from vasa_jax.errors import UserError
from vasa_jax.motion.sampler import (
    Network,
    Plan,
    WindowCarry,
    WindowInputs,
    initial_carry,
    sample_windows,
)
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import EMOTIONS, POSE_DIM, Array, Float, Key


class Before(NamedTuple):
    """What came before a clip's first frame: k frames of motion in the face model's units, and
    the features of their sound."""

    motion: Float[np.ndarray, "k m"]
    audio: Float[np.ndarray, "k a"]


class ClipControls(NamedTuple):
    """The wishes for one clip; None is the learned null.

    gaze (yaw, pitch) in radians, distance (1 = training mean) and emotion (8 shares): a vector for
    the whole clip, or one row per window, whose last row then lasts to the end of the clip.
    pose: (t, 7) head pose track in the face model's units, 25 per second, to be kept exactly; past
    its end the pose is generated. before: None starts the clip from nothing, as in the paper.
    """

    gaze: Float[np.ndarray, "*n 2"] | None = None
    distance: Float[np.ndarray, "*n 1"] | None = None
    emotion: Float[np.ndarray, "*n 8"] | None = None
    pose: Float[np.ndarray, "t 7"] | None = None
    before: Before | None = None


def window_count(frames: int, window: int) -> int:
    """Windows that `frames` frames need; the last may be partly empty."""
    return -(-frames // window)


def _per_window(name, value, dim, count):
    """(count, dim) values and (count,) flags from None, (dim,) or (rows, dim)."""
    if value is None:
        return np.zeros((count, dim), np.float32), np.zeros(count, bool)
    value = np.atleast_2d(np.asarray(value, np.float32))
    if value.ndim != 2 or value.shape[-1] != dim or not len(value) or not np.isfinite(value).all():
        raise UserError(f"{name} must be {dim} finite numbers, or that many per window, "
                        f"got shape {np.shape(value)}")  # fmt: skip
    return value[np.minimum(np.arange(count), len(value) - 1)], np.ones(count, bool)


def clip_inputs(
    audio: Float[np.ndarray, "t a"],
    controls: ClipControls,
    stats: MotionStats,
    window: int,
    count: int,
) -> WindowInputs:
    """One clip as `count` windows, without the batch axis, padded with zeros past its end."""
    frames = len(audio)
    padded = np.zeros((count * window, audio.shape[-1]), np.float32)
    padded[:frames] = audio
    values = {
        name: _per_window(name, getattr(controls, name), dim, count)
        for name, dim in (("gaze", 2), ("distance", 1), ("emotion", len(EMOTIONS)))
    }
    fixed = mask = None
    if controls.pose is not None:
        motion_dim, kept = len(stats.mean), min(len(controls.pose), frames)
        track = np.zeros((count * window, motion_dim), np.float32)
        track[:kept, :POSE_DIM] = controls.pose[:kept]
        mask = np.zeros(track.shape, bool)
        mask[:kept, :POSE_DIM] = True
        fixed = np.where(mask, stats.normalise(track), 0).astype(np.float32)
        fixed, mask = fixed.reshape(count, window, -1), mask.reshape(count, window, -1)
    return WindowInputs(
        audio=padded.reshape(count, window, -1),
        audio_valid=(np.arange(count * window) < frames).reshape(count, window),
        **{name: value for name, (value, _) in values.items()},
        **{f"has_{name}": flag for name, (_, flag) in values.items()},
        fixed=fixed,
        fixed_mask=mask,
    )


def clips_carry(
    controls: Sequence[ClipControls], config: MotionConfig, stats: MotionStats, audio_dim: int
) -> WindowCarry:
    """What the first windows of these clips are told."""
    carry = initial_carry(len(controls), config.context, len(stats.mean), audio_dim)
    motion, audio = np.array(carry.motion_context), np.array(carry.audio_context)
    for number, before in enumerate(c.before for c in controls):
        if before is not None:
            motion[number], audio[number] = stats.normalise(before.motion), before.audio
    told = np.array([c.before is not None for c in controls])
    return carry._replace(
        motion_context=jnp.asarray(motion), audio_context=jnp.asarray(audio),
        has_context=jnp.asarray(told),
    )  # fmt: skip


def sample_clips(
    network: Network,
    plan: Plan,
    weights: Float[Array, " branches"],
    params: Any,
    config: MotionConfig,
    stats: MotionStats,
    audio: Sequence[Float[np.ndarray, "_ a"]],
    controls: Sequence[ClipControls],
    keys: Key[Array, " b"],
    windows_per_call: int = 8,
    advance: Callable[[int], None] | None = None,
) -> list[Float[np.ndarray, "_ m"]]:
    """Motion in the face model's units for clips of unequal length, one (t, m) array per clip.

    audio: 25 Hz features of each clip. keys: one per clip. Clips of any length share one compiled
    program per batch size (and one more where a pose is given); a clip's result does not depend on
    its companions beyond rounding. A clip may be empty, to fill up a batch; with nothing but empty
    clips the program is compiled and computes nothing. advance: called with the number of windows
    after each call of the program. Raises UserError for features that are not finite.
    """
    for number, clip in enumerate(audio):
        if not np.isfinite(clip).all():
            raise UserError(f"clip {number}: its audio features hold NaN or infinity; "
                            "is the sound file damaged?")  # fmt: skip
    if any(c.pose is not None for c in controls):  # one batch has one structure
        nothing = np.zeros((0, POSE_DIM), np.float32)
        controls = [c if c.pose is not None else c._replace(pose=nothing) for c in controls]
    window = config.window
    frames = max(map(len, audio))
    calls = max(1, window_count(frames, window * windows_per_call))
    count = calls * windows_per_call
    clips = [clip_inputs(a, c, stats, window, count) for a, c in zip(audio, controls, strict=True)]
    inputs = jax.tree.map(lambda *leaves: np.stack(leaves), *clips)
    carry = clips_carry(controls, config, stats, audio[0].shape[-1])
    pieces = []
    for first in range(0, count, windows_per_call):
        now = jax.tree.map(
            lambda leaf, first=first: jnp.asarray(leaf[:, first : first + windows_per_call]), inputs
        )
        carry, motion = sample_windows(network, plan, params, carry, now, keys, weights)
        pieces.append(motion)
        if advance is not None:
            motion.block_until_ready()
            left = window_count(frames, window) - first
            advance(min(left, windows_per_call))
    motion = np.concatenate([np.asarray(piece) for piece in pieces], axis=1)
    motion = motion.reshape(len(audio), count * window, -1)
    return [
        stats.denormalise(m[: len(a)]).astype(np.float32)
        for m, a in zip(motion, audio, strict=True)
    ]


def sample_clip(
    network: Network,
    plan: Plan,
    weights: Float[Array, " branches"],
    params: Any,
    config: MotionConfig,
    stats: MotionStats,
    audio: Float[np.ndarray, "t a"],
    controls: ClipControls,
    key: Key[Array, ""],
    windows_per_call: int = 8,
) -> Float[np.ndarray, "t m"]:
    """`sample_clips` for one clip."""
    return sample_clips(
        network, plan, weights, params, config, stats, [audio], [controls], key[None],
        windows_per_call,
    )[0]  # fmt: skip
