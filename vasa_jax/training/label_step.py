"""A task whose parameters learn labels by plain gradient steps: an encoder alone, for the loop.

Nothing else of the face model runs: several times the examples a second of the full step, where
arithmetic is scarce.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vasa_jax.config import Config
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import TrainState, averaged, learning_rate, make_optimizer, update
from vasa_jax.training.task import Task
from vasa_jax.typing import Array, Float

Loss = Callable[
    [Layout, Any, Any], tuple[Float[Array, ""], dict[str, Float[Array, ""]]]
]  # (layout, parameters, batch) -> (what to lower, metrics)


def label_task(
    name: str, config: Config, batch: Any, init: Callable[[jax.Array], Any], loss: Loss
) -> Task:
    """Ruled by `train_face`. batch: shapes of a global batch. init: a key -> fresh parameters."""
    train = config.train_face
    optimizer = make_optimizer(train)

    def fresh(key, frozen):
        del frozen
        params = init(key)
        ema = jax.tree.map(jnp.copy, params)
        return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), ema, {}, {}, {})

    def step(layout: Layout, state: TrainState, frozen: Any, batch: Any, key: Any):
        del frozen, key
        grads, metrics = jax.grad(loss, argnums=1, has_aux=True)(
            layout, layout.gather(state.params), layout.spread(batch)
        )
        new, opt_state, norms = update(
            optimizer, layout.scatter(grads), state.opt_state, state.params
        )
        ema = averaged(state.ema, new, state.step + 1, train.ema)
        rate = jnp.asarray(learning_rate(train)(state.step), jnp.float32)
        state = state._replace(step=state.step + 1, params=new, opt_state=opt_state, ema=ema)
        return state, metrics | norms | {"learning_rate": rate}

    return Task(name, config, train, fresh, step, batch, {})
