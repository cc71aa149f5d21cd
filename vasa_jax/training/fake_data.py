"""Random batches of the right shapes, for smoke runs and tests."""

from typing import Any

import jax
import numpy as np


class FakeBatches:
    """An endless iterator of batches like `struct` (a batch struct of ShapeDtypeStructs).

    Batch i depends on the seed and on i alone. Floats are uniform in [0, 1], bools are all True,
    integers lie in 0..999. `repeat` gives the same batch again and again.
    """

    any_hosts = True
    """A place is the same on every host, however many there are."""

    def __init__(self, struct: Any, seed: int = 0, repeat: bool = False):
        self._struct, self._seed, self._repeat = struct, seed, repeat
        self._index = 0

    def __iter__(self):
        return self

    def __next__(self) -> Any:
        index = 0 if self._repeat else self._index
        rng = np.random.default_rng((self._seed, index, jax.process_index()))
        self._index += 1
        return jax.tree.map(lambda spec: self._draw(rng, spec), self._struct)

    def _draw(self, rng, spec):
        shape = (spec.shape[0] // jax.process_count(), *spec.shape[1:])
        kind = np.dtype(spec.dtype).kind
        if kind == "b":
            return np.ones(shape, bool)
        if kind in "iu":
            return rng.integers(0, 1000, shape).astype(spec.dtype)
        return rng.random(shape, np.float32).astype(spec.dtype)

    def state(self) -> dict[str, int]:
        """The number of batches taken."""
        return {"index": self._index}

    def restore(self, state: dict[str, int]) -> None:
        """Go on after `state`."""
        self._index = int(state["index"])
