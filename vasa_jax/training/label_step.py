"""A supervised training task for one network alone: the head pose encoder before stage 1."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vasa_jax.config import Config, TrainConfig
from vasa_jax.means import Term, add_up, counts_of
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import (
    TrainState,
    accumulate,
    advanced,
    make_optimizer,
    remat,
)
from vasa_jax.training.task import Task

Read = Callable[[Layout, Any, Any], Any]
"""(layout, parameters, batch) -> predictions."""
Terms = Callable[[Any, Any], list[Term]]
"""(predictions, batch) -> losses."""


def label_task(
    name: str,
    config: Config,
    train: TrainConfig,
    batch: Any,
    init: Callable[[jax.Array], Any],
    read: Read,
    terms: Terms,
    optimizer: optax.GradientTransformation | None = None,
) -> Task:
    """The task of minimising `terms`.

    batch: shapes of a global batch. init: key -> initial parameters. optimizer: in place of
    `make_optimizer(train)`.
    """
    optimizer = optimizer or make_optimizer(train)

    def fresh(key, frozen):
        del frozen
        params = init(key)
        ema = jax.tree.map(jnp.copy, params)
        return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), ema, {}, {}, {})

    def step(layout: Layout, state: TrainState, frozen: Any, batch: Any, key: Any):
        del frozen, key
        params, batch, counts = layout.gather(state.params), layout.spread(batch), None
        if train.accumulate > 1:
            shapes = jax.eval_shape(partial(read, layout), params, batch)
            said = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
            counts = counts_of(terms(said, batch))

        def loss(params, part):
            total, values = add_up(terms(read(layout, params, part), part), counts)
            return total, values | {"loss": total}

        def microbatch(part):
            grads, metrics = jax.grad(remat(loss, train.remat), has_aux=True)(params, part)
            return layout.scatter(grads), metrics

        grads, metrics = accumulate(microbatch, batch, train.accumulate, layout)
        state, norms = advanced(optimizer, train, state, grads)
        return state, metrics | norms

    return Task(name, config, train, fresh, step, batch, {})
