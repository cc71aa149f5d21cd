"""A supervised trainer of one network alone: the head pose encoder before stage 1."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vasa_jax.config import RunConfig, TrainConfig
from vasa_jax.means import Term, add_up, counts_of
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import TrainState, accumulate, advanced, make_optimizer, remat

__all__ = ["SupervisedTrainer"]


@dataclass(frozen=True)
class SupervisedTrainer:
    """Minimises `terms` by AdamW."""

    name: str
    config: RunConfig
    train: TrainConfig
    batch: Any
    """Shapes of a global batch."""
    init_params: Callable[[jax.Array], Any]
    """key -> initial parameters."""
    predict: Callable[[Layout, Any, Any], Any]
    """(layout, parameters, batch) -> predictions."""
    terms: Callable[[Any, Any], list[Term]]
    """(predictions, batch) -> losses."""
    optimizer: optax.GradientTransformation | None = None
    """None: `make_optimizer(train)`."""
    frozen: Any = field(default_factory=dict)

    @property
    def _optimizer(self) -> optax.GradientTransformation:
        return self.optimizer or make_optimizer(self.train)

    def init(self, key: Any, frozen: Any) -> TrainState:
        del frozen
        params = self.init_params(key)
        ema, opt_state = jax.tree.map(jnp.copy, params), self._optimizer.init(params)
        return TrainState(jnp.zeros((), jnp.int32), params, opt_state, ema, {}, {}, {})

    def step(
        self, layout: Layout, state: TrainState, frozen: Any, batch: Any, key: Any
    ) -> tuple[TrainState, dict[str, Any]]:
        del frozen, key
        params, batch, counts = layout.gather(state.params), layout.spread(batch), None
        if self.train.accumulate > 1:
            shapes = jax.eval_shape(partial(self.predict, layout), params, batch)
            silent = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
            counts = counts_of(self.terms(silent, batch))

        def loss(params, part):
            total, values = add_up(self.terms(self.predict(layout, params, part), part), counts)
            return total, values | {"loss": total}

        def microbatch(part):
            run = remat(loss, self.train.remat)
            grads, metrics = jax.grad(run, has_aux=True)(params, part)
            return layout.scatter(grads), metrics

        grads, metrics = accumulate(microbatch, batch, self.train.accumulate, layout)
        state, norms = advanced(self._optimizer, self.train, state, grads)
        return state, metrics | norms

    def samples(self, layout: Layout, ema: Any, frozen: Any, batch: Any) -> dict[str, Any]:
        del layout, ema, frozen, batch
        return {}
