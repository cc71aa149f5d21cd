"""The training state, its optimiser, and the pure updates that every step shares."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from vasa_jax.config import TrainConfig
from vasa_jax.training.flat import flat_adamw
from vasa_jax.training.mesh import Layout, path_name
from vasa_jax.typing import Array, Float, Int


class TrainState(NamedTuple):
    """Everything that a step changes, and what a checkpoint must hold.

    params, opt_state: the networks that are kept; ema: the running average of params (the one to
    use). critic: {} or the discriminator's variables, critic_opt its optimiser. constants: arrays
    that belong to the model but are not trained, such as the statistics of motion.
    """

    step: Int[Array, ""]
    params: Any
    opt_state: Any
    ema: Any
    critic: Any
    critic_opt: Any
    constants: Any


def learning_rate(train: TrainConfig) -> Callable[[Any], Any]:
    """Step (0 is the first) -> learning rate: linear warmup, then cosine to the final rate, or
    constant. Each of the `warmup` steps is lower than the full rate and higher than 0."""
    if train.schedule == "constant":
        rest = optax.constant_schedule(train.learning_rate)
    else:
        rest = optax.cosine_decay_schedule(
            train.learning_rate,
            max(train.steps - train.warmup, 1),
            train.final_learning_rate / train.learning_rate,
        )
    if train.warmup == 0:
        return rest
    rise = optax.linear_schedule(
        train.learning_rate / (train.warmup + 1), train.learning_rate, train.warmup
    )
    return optax.join_schedules([rise, rest], [train.warmup])


def decayed(params: Any) -> Any:
    """True for kernels: norms, biases and learned tokens do not decay."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path_name(path).endswith("kernel"), params
    )


def make_optimizer(
    train: TrainConfig, frozen: str = "", rate: Float[Array, ""] | None = None
) -> optax.GradientTransformation:
    """AdamW with clipping by global norm; parameters whose path matches `frozen` never move.

    rate: learning rate of this step, for schedules that steps do not settle; None: the config's.
    """

    def held(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: re.search(frozen, path_name(path)) is not None, params
        )

    by_step: Callable[[Any], Any] | Array = learning_rate(train) if rate is None else rate
    betas = train.beta1, train.beta2, train.eps
    if train.flat:
        masks = (decayed, train.clip, held if frozen else None)
        return flat_adamw(by_step, *betas, train.weight_decay, *masks)
    parts = [optax.clip_by_global_norm(train.clip)] if train.clip else []
    parts.append(optax.adamw(by_step, *betas, weight_decay=train.weight_decay, mask=decayed))
    if frozen:
        parts.append(optax.masked(optax.set_to_zero(), held))
    return optax.chain(*parts)


def update(
    optimizer: optax.GradientTransformation,
    grads: Any,
    opt_state: Any,
    params: Any,
    flat: bool = False,
) -> tuple[Any, Any, dict[str, Float[Array, ""]]]:
    """(params, opt_state, norms) after one step of the optimiser. flat: `TrainConfig.flat`."""
    updates, opt_state = optimizer.update(grads, opt_state, params)
    params = optax.apply_updates(params, updates)
    named = {"grad_norm": grads, "update_norm": updates, "param_norm": params}
    norm = (lambda tree: jnp.linalg.norm(ravel_pytree(tree)[0])) if flat else optax.tree.norm
    return params, opt_state, {name: norm(tree) for name, tree in named.items()}


def advanced(
    optimizer: optax.GradientTransformation, train: TrainConfig, state: TrainState, grads: Any
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """The state after one step of the optimiser: parameters, their average, the count of steps.

    Also returns the norms of `update` and the learning rate of this step. All stages end here, so
    that they count alike.
    """
    params, opt_state, norms = update(optimizer, grads, state.opt_state, state.params, train.flat)
    rate = jnp.asarray(learning_rate(train)(state.step), jnp.float32)
    ema = averaged(state.ema, params, state.step + 1, train.ema)
    state = state._replace(step=state.step + 1, params=params, opt_state=opt_state, ema=ema)
    return state, norms | {"learning_rate": rate}


def averaged(ema: Any, params: Any, count: Int[Array, ""], decay: float) -> Any:
    """ema + (1 - d) (params - ema), d = min(decay, (1 + count) / (10 + count)).

    count: of updates that `params` has had, this one included (TensorFlow's `num_updates`). The low
    start forgets the random initial parameters, which a decay of 0.9999 would keep for tens of
    thousands of steps (the warmup of TensorFlow's ExponentialMovingAverage).
    """
    rate = 1.0 - jnp.minimum(decay, (1.0 + count) / (10.0 + count))
    return jax.tree.map(lambda e, p: e + rate * (p - e), ema, params)


def accumulate(function: Callable[[Any], Any], batch: Any, count: int, layout: Layout) -> Any:
    """The sum of `function` (a tree of float arrays) over `count` equal microbatches, by a scan.

    Microbatch i takes every count-th example, so that each device splits its own examples and none
    moves. The result is that of the whole batch at once if `function` gives shares of it: gradients
    of totals over the counts of the whole batch (`vasa_jax.means`). What is random must be settled
    in `batch` beforehand, and what pairs examples must pair them `count` apart.
    """
    if count == 1:
        return function(batch)

    def split(x):
        x = x.reshape(x.shape[0] // count, count, *x.shape[1:])
        return jnp.swapaxes(x, 0, 1)

    batch = layout.spread(jax.tree.map(split, batch), microbatches=True)
    first = jax.tree.map(lambda x: x[0], batch)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(function, first))

    def body(total, microbatch):
        return jax.tree.map(jnp.add, total, function(microbatch)), None

    total, _ = jax.lax.scan(body, zeros, batch)
    return total


def remat(function: Callable, policy: str) -> Callable:
    """`function` whose inner results are computed again in the backward pass, by a policy of
    `TrainConfig.remat`."""
    if policy == "none":
        return function
    kept = jax.checkpoint_policies.nothing_saveable
    if policy == "dots":
        # JAX's own policies keep matrix products only; here convolutions are the costly ones.
        def kept(primitive, *_, **__):
            return primitive.name in ("conv_general_dilated", "dot_general")

    return jax.checkpoint(function, policy=kept)
