"""Single images of a pool: sampling, labels, mirrored labels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from recipes.demo.on_device.pool import GroupArrays, rows_at
from vasa_jax.data_pipeline.loading.pairs import FLIPS
from vasa_jax.data_pipeline.swaps import LABELS
from vasa_jax.typing import Array, Bool, Float, Int, Key

__all__ = ["labels_of", "mirrored", "sample_cells"]


def sample_cells(
    pool: GroupArrays, count: Int[Array, ""], key: Key[Array, ""], batch: int
) -> tuple[Int[Array, " b"], ...]:
    """Group, person, pose and expression of `batch` images, uniform over the first `count` groups
    (at least 1)."""
    ends: tuple[Any, ...] = (count, *pool.images.shape[1:4])
    keys = jax.random.split(key, len(ends))
    return tuple(jax.random.randint(k, (batch,), 0, end) for k, end in zip(keys, ends, strict=True))


def labels_of(
    pool: GroupArrays,
    group: Int[Array, " b"],
    person: Int[Array, " b"],
    pose: Int[Array, " b"],
    expression: Int[Array, " b"],
) -> dict[str, Float[Array, "b ..."]]:
    """The labels of b images by the names of `loading.pairs.FLIPS`."""
    where = {"g": group, "i": person, "p": pose, "d": expression}
    return {
        name: rows_at(getattr(pool, name), group, *(where[axis] for axis in axes))
        for name, (axes, _) in LABELS.items()
    }


def mirrored(labels: dict[str, Array], where: Bool[Array | np.ndarray, " b"]) -> dict[str, Array]:
    """Labels by name, mirrored where asked."""

    def choose(name, value):
        return jnp.where(where.reshape(-1, *[1] * (value.ndim - 1)), FLIPS[name](value), value)

    return {name: choose(name, value) for name, value in labels.items()}
