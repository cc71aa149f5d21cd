"""Sliding-window sampling: one compiled program for clips of any length (VASA-1 section 3.2).

The outer scan runs over a fixed number of windows and carries the last K frames of each window to
the next; the inner scan runs over the sampler's steps. The host calls the program again with the
returned carry until the clip is done (`clips.py`).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import linen as nn

from vasa_jax.config import DiffusionConfig
from vasa_jax.motion.conditions import Conditions
from vasa_jax.motion.diffusion import Sampler, Schedule, make_sampler, step
from vasa_jax.motion.guidance import (
    combine_branches,
    guidance_weights,
    repeat_branches,
    stack_branches,
)
from vasa_jax.motion.target import Target
from vasa_jax.typing import Array, Bool, Float, Int, Key, UInt


@runtime_checkable
class Network(Protocol):
    """A denoiser split in two, hashable because it is a static argument of the program."""

    def target(self, params: Any, conditions: Conditions) -> Target:
        """The map between a window's motion and its x0."""
        ...

    def embed(self, params: Any, conditions: Conditions) -> Any:
        """The embedded conditions, which are the same for all steps of a window."""
        ...

    def denoise(self, params: Any, embedded: Any, x_t: Array, t: Array) -> Array:
        """x0 (b, w, m) from the embedded conditions, noisy motion and steps (b,)."""
        ...


@dataclass(frozen=True)
class LinenNetwork:
    """A `MotionTransformer` as a Network; `params` are its variables {"params": …}."""

    model: nn.Module

    def target(self, params: Any, conditions: Conditions) -> Target:
        """The model's own."""
        return self._apply(params, conditions, method="target")

    def embed(self, params: Any, conditions: Conditions) -> Float[Array, "b s d"]:
        """The condition tokens of a window."""
        return self._apply(params, conditions, method="embed")

    def denoise(
        self, params: Any, embedded: Float[Array, "b s d"], x_t: Float[Array, "b w m"], t: Array
    ) -> Float[Array, "b w m"]:
        """x0 in float32."""
        return self._apply(params, embedded, x_t, t, method="denoise")

    def _apply(self, params: Any, *inputs: Any, method: str) -> Any:
        """`Module.apply`, which is declared to return a pair as well."""
        return self.model.apply(params, *inputs, method=method)


@dataclass(frozen=True)
class Plan:
    """Everything about sampling that is fixed at compile time: hashable, so a static argument.

    branches: the guided conditions; their weights are given to each call, in this order.
    unroll: steps in one trip of the loop.
    """

    sampler: Sampler
    schedule: Schedule
    steps: int
    branches: tuple[str, ...]
    unroll: int = 1


def make_plan(config: DiffusionConfig) -> tuple[Plan, Float[Array, " branches"]]:
    """The plan that `config` describes, and the guidance weights of its branches."""
    weights = guidance_weights(config)
    schedule = Schedule(config.schedule, config.timesteps)
    plan = Plan(make_sampler(config), schedule, config.steps, tuple(weights), config.unroll)
    return plan, jnp.asarray(list(weights.values()), jnp.float32)


class WindowCarry(NamedTuple):
    """State between windows: X_pre, A_pre, whether they exist, the number of the window.

    The number counts from the start of the clip, so that chunking does not change the noise.
    """

    motion_context: Float[Array, "b k m"]
    audio_context: Float[Array, "b k a"]
    has_context: Bool[Array, " b"]
    number: Int[Array, ""]


class WindowInputs(NamedTuple):
    """n windows of inputs for b clips. Units as in `Conditions`; flags are per clip and window.

    audio_valid: False past the end of a clip. A window in which no clip has a valid frame is not
    computed (its motion is zeros).
    fixed, fixed_mask: optional motion (normalised) that the sampler must keep where the mask is
    True, such as the pose of another clip; both or neither.
    digest: optional numbers of the windows' sound, which their noise then depends on as well, not
    in the paper (`vasa_jax.audio.digest` says why).
    """

    audio: Float[Array, "b n w a"]
    audio_valid: Bool[Array, "b n w"]
    gaze: Float[Array, "b n 2"]
    distance: Float[Array, "b n 1"]
    emotion: Float[Array, "b n 8"]
    has_gaze: Bool[Array, "b n"]
    has_distance: Bool[Array, "b n"]
    has_emotion: Bool[Array, "b n"]
    fixed: Float[Array, "b n w m"] | None = None
    fixed_mask: Bool[Array, "b n w m"] | None = None
    digest: UInt[Array, "b n"] | None = None


_PER_WINDOW = frozenset(WindowInputs._fields) & frozenset(Conditions._fields)


def initial_carry(batch: int, context: int, motion_dim: int, audio_dim: int) -> WindowCarry:
    """The carry before the first window: no context (the learned null), window 0."""
    return WindowCarry(
        motion_context=jnp.zeros((batch, context, motion_dim)),
        audio_context=jnp.zeros((batch, context, audio_dim)),
        has_context=jnp.zeros(batch, bool),
        number=jnp.zeros((), jnp.int32),
    )


def _normal(keys, number, shape):
    """One draw per clip, from that clip's key alone: other clips in the batch change nothing."""
    keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
    return jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(keys)


def sample_window(
    network: Network,
    plan: Plan,
    params: Any,
    conditions: Conditions,
    keys: Key[Array, " b"],
    weights: Float[Array, " branches"],
    fixed: Float[Array, "b w m"] | None = None,
    fixed_mask: Bool[Array, "b w m"] | None = None,
) -> Float[Array, "b w m"]:
    """One window of normalised motion from noise; `keys` belong to this window of each clip."""
    batch, window, _ = conditions.audio.shape
    shape = (window, conditions.motion_context.shape[-1])
    table = plan.sampler.table(plan.schedule, plan.steps)
    draws_noise = bool(table.noise.any())
    branches = len(plan.branches)
    embedded = network.embed(params, stack_branches(conditions, plan.branches))
    target = network.target(params, conditions)
    if fixed is not None:
        fixed = target.encode(fixed)

    def body(state, numbered_row):
        (x, previous), (number, row) = state, numbered_row
        t = jnp.full(batch * (1 + branches), row.t)
        x0 = network.denoise(params, embedded, repeat_branches(x, branches), t)
        x0 = combine_branches(x0, weights)
        if fixed is not None:
            x0 = jnp.where(fixed_mask, fixed, x0)
        noise = _normal(keys, number, shape) if draws_noise else None
        return (step(row, x, x0, previous, noise), x0), None

    numbers = jnp.arange(1, plan.steps + 1)
    start = _normal(keys, 0, shape)
    rows = jax.tree.map(jnp.asarray, table)
    carry = start, jnp.zeros_like(start)
    (x, _), _ = jax.lax.scan(body, carry, (numbers, rows), unroll=plan.unroll)
    return target.decode(x)


@partial(jax.jit, static_argnums=(0, 1))
def sample_windows(
    network: Network,
    plan: Plan,
    params: Any,
    carry: WindowCarry,
    inputs: WindowInputs,
    keys: Key[Array, " b"],
    weights: Float[Array, " branches"],
) -> tuple[WindowCarry, Float[Array, "b n w m"]]:
    """n windows one after another; returns the carry for the next call and normalised motion.

    keys: one per clip, the same in every call of a clip; window, the digest of its sound (if given)
    and step are folded in here.
    weights: lambda of each branch of the plan. Motion past a clip's end means nothing: crop it.
    """
    context = carry.motion_context.shape[1]

    def run(carry, window):
        conditions = Conditions(
            motion_context=carry.motion_context,
            audio_context=carry.audio_context,
            has_context=carry.has_context,
            has_audio=jnp.ones_like(carry.has_context),  # audio_valid says which frames have any
            **{name: getattr(window, name) for name in _PER_WINDOW},
        )
        window_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, carry.number)
        if window.digest is not None:
            window_keys = jax.vmap(jax.random.fold_in)(window_keys, window.digest)
        motion = sample_window(
            network, plan, params, conditions, window_keys, weights, window.fixed, window.fixed_mask
        )
        after = WindowCarry(
            motion_context=motion[:, -context:],
            audio_context=window.audio[:, -context:],
            has_context=jnp.ones_like(carry.has_context),
            number=carry.number + 1,
        )
        return after, motion

    def skip(carry, window):
        shape = (*window.audio.shape[:2], carry.motion_context.shape[-1])
        return carry._replace(number=carry.number + 1), jnp.zeros(shape)

    def body(carry, window):
        return jax.lax.cond(window.audio_valid.any(), run, skip, carry, window)

    windows_first = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), inputs)
    carry, motion = jax.lax.scan(body, carry, windows_first)
    return carry, jnp.moveaxis(motion, 0, 1)
