"""Whole clips on the host to windows on the device, and back."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
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
from vasa_jax.typing import EMOTIONS, POSE_DIM, Array, Float, Key, UInt


class ClipControls(NamedTuple):
    """The conditions of one clip; None is the learned null.

    gaze (yaw, pitch) in radians, distance (1 = training mean) and emotion (8 shares): a vector for
    the whole clip, or one row per window, whose last row then lasts to the end of the clip.
    pose: (t, 7) head pose track in the face model's units, 25 per second, to be kept exactly; past
    its end the pose is generated.
    """

    gaze: Float[np.ndarray, "*n 2"] | None = None
    distance: Float[np.ndarray, "*n 1"] | None = None
    emotion: Float[np.ndarray, "*n 8"] | None = None
    pose: Float[np.ndarray, "t 7"] | None = None


def window_count(frames: int, window: int) -> int:
    """Number of windows for `frames` frames; the last may be partly empty."""
    return -(-frames // window)


def _per_window(name, value, dim, count):
    """(count, dim) values and (count,) flags from None, (dim,) or (rows, dim)."""
    if value is None:
        return np.zeros((count, dim), np.float32), np.zeros(count, bool)
    value = np.atleast_2d(np.asarray(value, np.float32))
    if value.ndim != 2 or value.shape[-1] != dim or not len(value) or not np.isfinite(value).all():
        raise UserError(
            f"{name} must be {dim} finite numbers, or that many per window, "
            f"got shape {np.shape(value)}"
        )
    return value[np.minimum(np.arange(count), len(value) - 1)], np.ones(count, bool)


def clip_inputs(
    audio: Float[np.ndarray, "t a"],
    controls: ClipControls,
    stats: MotionStats,
    window: int,
    count: int,
    digests: UInt[np.ndarray, " windows"] | None = None,
) -> WindowInputs:
    """One clip as `count` windows, without the batch axis, padded with zeros past its end.

    digests: of the windows that the clip reaches, see `vasa_jax.audio.digest`.
    """
    frames = len(audio)
    padded = np.zeros((count * window, audio.shape[-1]), np.float32)
    padded[:frames] = audio
    inputs: dict[str, Any] = {
        "audio": padded.reshape(count, window, -1),
        "audio_valid": (np.arange(count * window) < frames).reshape(count, window),
    }
    for name, dim in (("gaze", 2), ("distance", 1), ("emotion", len(EMOTIONS))):
        value, known = _per_window(name, getattr(controls, name), dim, count)
        inputs |= {name: value, f"has_{name}": known}
    if controls.pose is not None:
        motion_dim, kept = len(stats.mean), min(len(controls.pose), frames)
        track = np.zeros((count * window, motion_dim), np.float32)
        track[:kept, :POSE_DIM] = controls.pose[:kept]
        mask = np.zeros(track.shape, bool)
        mask[:kept, :POSE_DIM] = True
        fixed = np.where(mask, stats.normalise(track), 0).astype(np.float32)
        inputs["fixed"] = fixed.reshape(count, window, -1)
        inputs["fixed_mask"] = mask.reshape(count, window, -1)
    if digests is not None:
        inputs["digest"] = np.pad(digests, (0, count - len(digests)))
    return WindowInputs(**inputs)


def null_carry(clips: int, config: MotionConfig, motion_dim: int, audio_dim: int) -> WindowCarry:
    """`initial_carry` in host memory: the first windows of so many clips have no context."""
    dims = config.context, motion_dim, audio_dim
    shapes = jax.eval_shape(lambda: initial_carry(clips, *dims))
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


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
    check_features(audio)
    sampling = ClipSampling(
        lambda carry, inputs: sample_windows(network, plan, params, carry, inputs, keys, weights),
        controls,
        config,
        stats,
        audio[0].shape[-1],
        windows_per_call,
    )
    size = config.window * windows_per_call
    frames = max(map(len, audio))
    made = []
    for first in range(0, max(frames, 1), size):
        made.append(sampling([clip[first : first + size] for clip in audio]))
        if advance is not None:
            advance(window_count(min(frames - first, size), config.window))
    return [np.concatenate(parts) for parts in zip(*made, strict=True)]


def check_features(audio: Sequence[Float[np.ndarray, "_ a"]]) -> None:
    """Raise UserError where a clip's features are not finite."""
    for number, clip in enumerate(audio):
        if not np.isfinite(clip).all():
            raise UserError(
                f"clip {number}: its audio features hold NaN or infinity; "
                "is the sound file damaged?"
            )


class ClipSampling:
    """Clips that are sampled together, call by call of a compiled program.

    step: (carry, inputs of `windows` windows) -> (carry, normalised motion), a compiled program.
    carry: of the first windows (default: `null_carry`). Only what one call needs is held, so that
    clips may be of any length.
    """

    def __init__(
        self,
        step: Callable[[WindowCarry, WindowInputs], tuple[WindowCarry, Float[Array, "b n w m"]]],
        controls: Sequence[ClipControls],
        config: MotionConfig,
        stats: MotionStats,
        audio_dim: int,
        windows: int,
        carry: WindowCarry | None = None,
    ):
        if any(c.pose is not None for c in controls):  # one batch has one structure
            nothing = np.zeros((0, POSE_DIM), np.float32)
            controls = [c if c.pose is not None else c._replace(pose=nothing) for c in controls]
        self._step, self._controls, self._stats = step, list(controls), stats
        self._window, self._windows, self._index = config.window, windows, 0
        dims = len(stats.mean), audio_dim
        self._carry = null_carry(len(self._controls), config, *dims) if carry is None else carry

    def __call__(
        self,
        audio: Sequence[Float[np.ndarray, "_ a"]],
        digests: Sequence[UInt[np.ndarray, " _"]] | None = None,
    ) -> list[Float[np.ndarray, "_ m"]]:
        """The next motion of each clip, in the face model's units, from the features of as many
        frames: those of `windows` whole windows, or fewer where a clip ends, down to none. Clips
        that are not given have ended. digests: of each clip's windows; in all calls or in none."""
        given = len(audio)
        audio = [*audio, *[audio[0][:0]] * (len(self._controls) - given)]
        size, count = self._window, self._windows
        marks: list[np.ndarray | None] = [None] * len(audio)
        if digests is not None:
            marks = [*digests, *[np.zeros(0, np.uint32)] * (len(audio) - given)]
        clips = [
            clip_inputs(features, self._from_here(controls), self._stats, size, count, mark)
            for features, controls, mark in zip(audio, self._controls, marks, strict=True)
        ]
        inputs = jax.tree.map(lambda *leaves: np.stack(leaves), *clips)
        self._carry, sampled = self._step(self._carry, inputs)
        self._index += self._windows
        motion = np.asarray(sampled).reshape(len(clips), self._windows * self._window, -1)
        return [
            np.asarray(self._stats.denormalise(m[: len(a)])).astype(np.float32)
            for m, a in zip(motion[:given], audio, strict=False)
        ]

    def _from_here(self, controls: ClipControls) -> ClipControls:
        """The conditions from the next window on; a pose track that ended stays empty, not None."""

        def rows(value):
            return value if np.ndim(value) < 2 else value[min(self._index, len(value) - 1) :]

        track = None if controls.pose is None else controls.pose[self._index * self._window :]
        return ClipControls(
            rows(controls.gaze), rows(controls.distance), rows(controls.emotion), track
        )


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
        network,
        plan,
        weights,
        params,
        config,
        stats,
        [audio],
        [controls],
        key[None],
        windows_per_call,
    )[0]
