"""The device mesh (data, fsdp, tensor) and the rules that lay arrays out on it.

Batches are split over data and fsdp. Parameters, optimiser state and averages are stored split
over fsdp (and tensor), and gathered over fsdp once per step, before they are used. Networks run on
each device's own examples, so that no activation is ever gathered; only losses, which pair examples
and take means, are left to the partitioner.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vasa_jax.config import MeshConfig
from vasa_jax.errors import UserError

AXES = ("data", "fsdp", "tensor")

BATCH_AXES = ("data", "fsdp")
"""The mesh axes that split the examples of a batch."""

LOGICAL_TO_MESH = {"hidden": "tensor"}
"""The mesh axis that splits a logical axis of parameters; those not named here stay whole."""

PARAMETER_AXES = (
    # A pair of layers shares a hidden axis: the first makes a part of it on each device, the second
    # sums the parts up, so that only one reduction is needed for both (Megatron-LM, section 3).
    (r"(^|/)(conv1|query|key_value|up)/(ws_)?kernel$", ("in", "hidden")),
    (r"(^|/)(conv2|attention_out|down)/(ws_)?kernel$", ("hidden", "out")),
    (r"(^|/)(conv1|query|key_value|up)/bias$", ("hidden",)),
)
"""Logical names of the last axes of parameters, by the end of their path."""


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """The mesh of `config` on `devices` (default: all of them).

    Raises UserError when the axes do not fit the number of devices.
    """
    devices = list(jax.devices() if devices is None else devices)
    count, inner = len(devices), config.fsdp * config.tensor
    data = count // inner if config.data == -1 else config.data
    if data == 0 or (config.data == -1 and count % inner) or data * inner > count:
        raise UserError(
            f"mesh {config.data} x {config.fsdp} x {config.tensor} (data, fsdp, tensor)"
            f" does not fit {count} devices; set mesh.fsdp and mesh.tensor so that "
            "their product divides the number of devices"
        )
    return jax.make_mesh(
        (data, config.fsdp, config.tensor),
        AXES,
        axis_types=(AxisType.Auto,) * len(AXES),
        devices=devices[: data * inner],
    )


def path_name(path: Sequence[Any]) -> str:
    """A pytree path as `a/b/c`."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def logical_axes(name: str, ndim: int) -> tuple[str | None, ...]:
    """The logical names of a parameter's axes, by `PARAMETER_AXES`; None where no rule matches."""
    for pattern, axes in PARAMETER_AXES:
        if re.search(pattern, name) and ndim >= len(axes):
            return (None,) * (ndim - len(axes)) + axes
    return (None,) * ndim


def parameter_spec(
    name: str, shape: tuple[int, ...], mesh: Mesh, floor: int, *, stored: bool = True
) -> PartitionSpec:
    """Where an array of the training state lies: stored, or gathered over fsdp for use.

    tensor splits the axis that the rules call hidden. fsdp splits the longest remaining axis that
    it divides, the last of equals, of arrays with at least `floor` elements.
    """
    axes: list[str | None] = []
    for size, logical in zip(shape, logical_axes(name, len(shape)), strict=True):
        axis = LOGICAL_TO_MESH.get(logical or "")
        usable = axis is not None and mesh.shape[axis] > 1 and size % mesh.shape[axis] == 0
        axes.append(axis if usable else None)
    ways = mesh.shape["fsdp"]
    if stored and ways > 1 and math.prod(shape) >= floor:
        free = [i for i, size in enumerate(shape) if axes[i] is None and size % ways == 0]
        if free:
            axes[max(free, key=lambda i: (shape[i], i))] = "fsdp"
    while axes and axes[-1] is None:
        axes.pop()
    return PartitionSpec(*axes)


@dataclass(frozen=True)
class Layout:
    """A mesh and the layout of everything on it."""

    mesh: Mesh
    floor: int

    def replicated(self) -> NamedSharding:
        """One whole copy on each device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def batch(self, microbatches: bool = False) -> NamedSharding:
        """Examples split over data and fsdp; with `microbatches` they are the second axis."""
        axes = BATCH_AXES
        return NamedSharding(self.mesh, PartitionSpec(*((None, axes) if microbatches else (axes,))))

    def batch_ways(self) -> int:
        """Into how many parts a batch is split."""
        return math.prod(self.mesh.shape[axis] for axis in BATCH_AXES)

    def shardings(self, tree: Any, *, stored: bool = True) -> Any:
        """A NamedSharding for each array (or ShapeDtypeStruct) of a tree of training state."""

        def one(path, leaf):
            spec = parameter_spec(
                path_name(path), tuple(leaf.shape), self.mesh, self.floor, stored=stored
            )
            return NamedSharding(self.mesh, spec)

        return jax.tree_util.tree_map_with_path(one, tree)

    def gather(self, tree: Any) -> Any:
        """Parameters as the networks use them: whole, but for the axis that tensor splits."""
        return jax.lax.with_sharding_constraint(tree, self.shardings(tree, stored=False))

    def scatter(self, tree: Any) -> Any:
        """Gradients as they are stored, so that each device updates its own part."""
        return jax.lax.with_sharding_constraint(tree, self.shardings(tree))

    def spread(self, tree: Any, microbatches: bool = False) -> Any:
        """Hold examples (and what is computed from them) where they belong."""
        return jax.lax.with_sharding_constraint(tree, self.batch(microbatches))

    def by_example(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function(parameters, *examples)` run on each device's own examples.

        For networks, whose rows do not meet. Left to the partitioner, gathers, resizes, Fourier
        transforms and small convolutions would collect the whole batch on every device. The tensor
        axis stays the partitioner's.
        """
        if self.batch_ways() == 1:
            # Nothing to split; and with a tensor axis XLA's partitioner refuses manual axes of
            # size 1 ("must be in (partial) manual partitioning mode").
            return function
        rows, axes = self.batch().spec, BATCH_AXES

        def own(parameters, *examples):
            # Each device's own copy from the start: a custom gradient of a parameter (a volume
            # that is sampled) is each device's, and the sum over devices is taken here, once.
            parameters = jax.tree.map(lambda x: jax.lax.pcast(x, axes, to="varying"), parameters)
            return function(parameters, *examples)

        def run(parameters, *examples):
            return jax.shard_map(
                own,
                mesh=self.mesh,
                in_specs=(PartitionSpec(), *(rows for _ in examples)),
                out_specs=rows,
                axis_names=set(axes),
            )(parameters, *examples)

        return run


def single_device() -> Layout:
    """The layout of one device: the same code, nothing to split."""
    return Layout(make_mesh(MeshConfig(), jax.devices()[:1]), 1)
