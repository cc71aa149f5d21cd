"""Data parallelism over the devices of a host, whose results do not depend on their number.

A program is compiled once for all devices from the function of one device with one block
(`jax.shard_map`). Shapes per device are the same however many devices there are, and no collective
runs: a block's result depends on that block alone, to the bit, as far as XLA compiles equal
computations to equal code. A lane is one device with its block.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

__all__ = ["Lanes", "Program", "batched"]

AXIS = "data"
Item = TypeVar("Item")


class Lanes:
    """Devices of this host as a mesh with the axis "data" (default: the first device alone)."""

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
        """The tree on each device; leaves that are there already are not copied."""
        return [jax.device_put(tree, device) for device in self.devices]

    def stack(self, blocks: Sequence[Any]) -> Any:
        """Trees of equal shapes as one tree of arrays (lanes * b, ...), block i on device i.

        Missing blocks are filled with copies of the last one.
        """
        blocks = [*blocks, *[blocks[-1]] * (len(self) - len(blocks))]
        return jax.tree.map(self._join, *blocks)

    def _join(self, *parts: Any) -> jax.Array:
        shape = (len(self) * parts[0].shape[0], *parts[0].shape[1:])
        shards = [jax.device_put(p, d) for p, d in zip(parts, self.devices, strict=True)]
        return jax.make_array_from_single_device_arrays(shape, self.rows, shards)

    def split(self, tree: Any) -> list[Any]:
        """The inverse of `stack`: the blocks of a program's result, each on its device."""
        leaves, structure = jax.tree.flatten(tree)
        by_device = [{s.device: s.data for s in leaf.addressable_shards} for leaf in leaves]
        return [
            jax.tree.unflatten(structure, [shards[device] for shards in by_device])
            for device in self.devices
        ]


class Program:
    """`function(parameters, *block)` of one device, run on all lanes: `program(parameters, *rows)`.

    Parameters are replicated. Leaves of blocks and results have a first axis along which
    `Lanes.stack` puts blocks. Compiled at the first call for a structure and shapes, or by
    `compile`.
    """

    def __init__(self, lanes: Lanes, name: str, function: Callable[..., Any]):
        whole, rows = PartitionSpec(), PartitionSpec(AXIS)

        def run(parameters, *blocks):
            # Without collectives there is no replication to check.
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
        """Number of compiled programs."""
        return len(self._programs)

    def compile(self, parameters: Any, *rows: Any) -> Any:
        """The executable for arrays, or shapes, of all lanes."""
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


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last may be shorter."""
    items = iter(items)
    while run := list(islice(items, size)):
        yield run
