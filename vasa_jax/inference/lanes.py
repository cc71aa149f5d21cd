"""Devices side by side: each runs the same program on a block of its own.

A program is compiled once, for all devices, from the function of one device with one block. What a
device computes therefore has the same shapes however many devices there are and whatever lies in
the other blocks, and no number ever passes from one block to another: a block's result depends on
the block alone, to the bit, as far as XLA compiles equal computations to equal code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

__all__ = ["Lanes", "Program", "runs_of"]

AXIS = "data"
Item = TypeVar("Item")


class Lanes:
    """Devices of this host as one mesh with the axis "data"; default: the first device alone."""

    def __init__(self, devices: Sequence[Any] | None = None):
        self.devices = list(jax.local_devices()[:1] if devices is None else devices)
        self.mesh = jax.make_mesh(
            (len(self.devices),), (AXIS,), (AxisType.Auto,), devices=self.devices
        )
        self.whole = NamedSharding(self.mesh, PartitionSpec())
        self.rows = NamedSharding(self.mesh, PartitionSpec(AXIS))

    def __len__(self) -> int:
        return len(self.devices)

    def copies(self, tree: Any) -> list[Any]:
        """The tree on each device, by lane; leaves that lie there already are not copied."""
        return [jax.device_put(tree, device) for device in self.devices]

    def stack(self, blocks: Sequence[Any]) -> Any:
        """Trees of equal shapes as one tree of arrays (lanes * b, ...), block i on device i.

        There may be fewer blocks than lanes: the last one stands in for the missing ones.
        """
        blocks = [*blocks, *[blocks[-1]] * (len(self) - len(blocks))]
        return jax.tree.map(self._join, *blocks)

    def _join(self, *parts: Any) -> jax.Array:
        shape = (len(self) * parts[0].shape[0], *parts[0].shape[1:])
        shards = [jax.device_put(p, d) for p, d in zip(parts, self.devices, strict=True)]
        return jax.make_array_from_single_device_arrays(shape, self.rows, shards)

    def split(self, tree: Any) -> list[Any]:
        """The blocks of a tree that a program returned, each on its device, by lane."""
        leaves, structure = jax.tree.flatten(tree)
        by_device = [{s.device: s.data for s in leaf.addressable_shards} for leaf in leaves]
        return [
            jax.tree.unflatten(structure, [shards[device] for shards in by_device])
            for device in self.devices
        ]


class Program:
    """`function(parameters, *block)` of one device, run on all lanes: `program(parameters, *rows)`.

    parameters are whole on each device. Leaves of a block have a first axis, along which blocks are
    stacked (`Lanes.stack`); so have those of the result. Compiled at the first call for a structure
    and shapes, or ahead by `compile`; `compiled` counts them.
    """

    def __init__(self, lanes: Lanes, name: str, function: Callable[..., Any]):
        whole, rows = PartitionSpec(), PartitionSpec(AXIS)

        def run(parameters, *blocks):
            # The function has no collectives, so that nothing needs to be known about replication.
            return jax.shard_map(
                function,
                mesh=lanes.mesh,
                in_specs=(whole, *[rows] * len(blocks)),
                out_specs=rows,
                check_vma=False,
            )(parameters, *blocks)

        run.__name__ = name
        self._lanes, self._run = lanes, run
        self._programs: dict[Any, Any] = {}

    @property
    def compiled(self) -> int:
        """How many programs were compiled."""
        return len(self._programs)

    def compile(self, parameters: Any, *rows: Any) -> Any:
        """The program for arrays, or shapes, of all lanes."""
        leaves, structure = jax.tree.flatten(rows)
        key = structure, tuple((leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves)
        if key not in self._programs:
            lanes = self._lanes
            program = jax.jit(
                self._run,
                in_shardings=(lanes.whole, *[lanes.rows] * len(rows)),
                out_shardings=lanes.rows,
            )
            self._programs[key] = program.lower(parameters, *rows).compile()
        return self._programs[key]

    def __call__(self, parameters: Any, *rows: Any) -> Any:
        return self.compile(parameters, *rows)(parameters, *rows)


def runs_of(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last of which may be shorter."""
    items = iter(items)
    while run := list(islice(items, size)):
        yield run
