"""What the loop needs to know of a stage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vasa_jax.config import Config, TrainConfig
from vasa_jax.training.mesh import Layout


@dataclass(frozen=True)
class Task:
    """A stage of training as pure functions.

    init(key, frozen) -> TrainState.
    step(layout, state, frozen, batch, key) -> (state, metrics): one optimiser step; metrics are
        float scalars by name.
    samples(layout, ema, frozen, batch) -> images in [0, 1] by name, (b, h, w, 3); or None.
    batch: the batch struct with ShapeDtypeStructs, at the global batch size.
    frozen: arrays that steps read and nobody trains, passed as arguments (a closure would compile
        them into the program).
    """

    name: str
    config: Config
    train: TrainConfig
    init: Callable[[Any, Any], Any]
    step: Callable[[Layout, Any, Any, Any, Any], tuple[Any, dict]]
    batch: Any
    frozen: Any
    samples: Callable[[Layout, Any, Any, Any], dict] | None = None


@runtime_checkable
class CheckpointableIterator(Protocol):
    """An iterator whose place can be saved: after `restore(s)`, `next` goes on as it did after
    `s = state()`. States are values that JSON can hold. An attribute `ahead` = n lets a thread read
    up to n batches before they are needed."""

    def __next__(self) -> Any: ...

    def state(self) -> Any: ...

    def restore(self, state: Any) -> None: ...
