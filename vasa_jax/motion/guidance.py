"""Classifier-free guidance with one weight per condition (VASA-1 section 3.2).

    x0 = (1 + sum_c lambda_c) H(x_t, t, C) - sum_c lambda_c H(x_t, t, C with c = null)

All evaluations of one step run as one batch. Which conditions have a branch is fixed when the
program is traced; how strong each is may change from call to call.
"""

import jax
import jax.numpy as jnp

from vasa_jax.config import DiffusionConfig
from vasa_jax.motion.conditions import CONDITION_NAMES, Conditions, without
from vasa_jax.typing import Array, Float


def guidance_weights(config: DiffusionConfig) -> dict[str, float]:
    """lambda_c of every guided condition; those with lambda 0 are left out and cost nothing."""
    weights = {name: getattr(config, f"guidance_{name}") for name in CONDITION_NAMES}
    return {name: weight for name, weight in weights.items() if weight}


def stack_branches(conditions: Conditions, branches: tuple[str, ...]) -> Conditions:
    """[C, C without branches[0], …] for each example: leading axis b * (1 + len(branches)).

    An example's branches lie side by side, so that sharding the batch keeps them on one device.
    """
    variants = [conditions, *(without(conditions, name) for name in branches)]
    return jax.tree.map(
        lambda *leaves: jnp.stack(leaves, 1).reshape(-1, *leaves[0].shape[1:]), *variants
    )


def repeat_branches(x: Float[Array, "b w m"], count: int) -> Float[Array, "bn w m"]:
    """The same noisy motion for each of `count` branches, in the order of `stack_branches`."""
    return jnp.repeat(x, 1 + count, axis=0)


def combine_branches(
    x0: Float[Array, "bn w m"], weights: Float[Array, " n"]
) -> Float[Array, "b w m"]:
    """The guided x0 from the stacked predictions; `weights` in the order of the branches."""
    if weights.shape[0] == 0:
        return x0
    grouped = x0.reshape(-1, 1 + weights.shape[0], *x0.shape[1:])
    nulls = jnp.sum(grouped[:, 1:] * weights[:, None, None], axis=1)
    return (1 + weights.sum()) * grouped[:, 0] - nulls
