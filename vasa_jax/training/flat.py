"""AdamW on all parameters as one vector.

An optimiser of hundreds of small arrays is a quarter of a training step's operations, and hundreds
of launches on an accelerator; on one vector it is a few. The numbers are the same.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from vasa_jax.typing import Array, Float

__all__ = ["flat_adamw"]


def flat_adamw(
    rate: Callable[[Any], Any] | float | Array,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decayed: Callable[[Any], Any],
    clip: float = 0.0,
    held: Callable[[Any], Any] | None = None,
) -> optax.GradientTransformation:
    """`optax.adamw` behind `optax.clip_by_global_norm` (0: none), its state one vector a moment.

    rate: of learning, or a function of the step's number. decayed, held: parameters -> a tree of
    bools: whether an array decays; whether it stays as it is.
    """
    moments = [optax.clip_by_global_norm(clip)] if clip else []
    inner = optax.chain(
        *moments, optax.scale_by_adam(beta1, beta2, eps), optax.add_decayed_weights(weight_decay)
    )
    scaled = optax.scale_by_learning_rate(rate)

    def init(params: Any) -> Any:
        vector, _ = ravel_pytree(params)
        return inner.init(vector), scaled.init(vector)

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        vector, unravel = ravel_pytree(params)
        slopes, _ = ravel_pytree(grads)
        steps, moments = inner.update(slopes, state[0], _where(decayed, params, vector))
        if held is not None:
            steps = steps - _where(held, params, steps)
        steps, rates = scaled.update(steps, state[1])
        return unravel(steps), (moments, rates)

    return optax.GradientTransformation(init, update)


def _where(
    asked: Callable[[Any], Any], params: Any, vector: Float[Array, " n"]
) -> Float[Array, " n"]:
    """The vector of `params` where a tree of bools is True, 0 elsewhere."""
    runs: list[tuple[bool, int]] = []
    for leaf, kept in zip(jax.tree.leaves(params), jax.tree.leaves(asked(params)), strict=True):
        if runs and runs[-1][0] == kept:
            runs[-1] = (kept, runs[-1][1] + leaf.size)
        else:
            runs.append((kept, leaf.size))
    mask = jnp.concatenate([jnp.full(size, float(kept), jnp.float32) for kept, size in runs])
    return vector * mask
