"""What the loop needs to know of a stage of training."""

from typing import Any, Protocol, runtime_checkable

from vasa_jax.config import RunConfig, TrainConfig
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import TrainState

__all__ = ["CheckpointableIterator", "Trainer"]


@runtime_checkable
class Trainer(Protocol):
    """A stage of training: a frozen object whose methods are pure functions."""

    @property
    def name(self) -> str:
        """Of the stage, as its section `train_<name>` of the config is called."""
        ...

    @property
    def config(self) -> RunConfig: ...

    @property
    def train(self) -> TrainConfig:
        """The stage's section of the config."""
        ...

    @property
    def batch(self) -> Any:
        """Shapes of a global batch: its struct with ShapeDtypeStructs."""
        ...

    @property
    def frozen(self) -> Any:
        """Arrays that steps read and nobody trains. They are passed as arguments: a closure would
        compile them into the program."""
        ...

    def init(self, key: Any, frozen: Any) -> TrainState:
        """A fresh state."""
        ...

    def step(
        self, layout: Layout, state: TrainState, frozen: Any, batch: Any, key: Any
    ) -> tuple[TrainState, dict[str, Any]]:
        """One optimiser step; the metrics are float scalars by name."""
        ...

    def samples(self, layout: Layout, ema: Any, frozen: Any, batch: Any) -> dict[str, Any]:
        """Images in [0, 1] by name, (b, h, w, 3), of the averaged parameters; none: no samples."""
        ...


@runtime_checkable
class CheckpointableIterator(Protocol):
    """An iterator whose place can be saved: after `restore(s)`, `next` goes on as it did after
    `s = state()`. States are values that JSON can hold. An attribute `ahead` = n lets a thread read
    up to n batches before they are needed."""

    def __next__(self) -> Any: ...

    def state(self) -> Any: ...

    def restore(self, state: Any) -> None: ...
