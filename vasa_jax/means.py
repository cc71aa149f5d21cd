"""Losses as sums and counts, so that microbatches add up to the batch.

A masked mean of a microbatch divides by the microbatch's own count; the mean of such means is not
the mean over the batch. Here totals stay apart from counts. The counts follow from the data alone,
so those of the whole batch are known before any part of it runs, and each part is divided by them.
"""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from flax import struct

from vasa_jax.typing import Array, Float

__all__ = ["Counts", "Means", "Term", "add_up", "counts_of", "uniform", "weighted"]

Scalar = Float[Array, ""]
Counts = tuple[Float[Array, "*s"], ...]


@struct.dataclass
class Means:
    """sum over i, and over the entries of arrays, of totals[i] / max(counts[i], least[i])."""

    totals: tuple[Float[Array, "*s"], ...]
    counts: Counts
    least: tuple[float, ...] = struct.field(pytree_node=False)

    @property
    def value(self) -> Scalar:
        """Over the examples at hand."""
        return self.share(self.counts)

    def share(self, counts: Counts) -> Scalar:
        """What these examples add to the value over a batch that they are a part of, and whose
        counts are given."""
        parts = zip(self.totals, counts, self.least, strict=True)
        return sum((jnp.sum(t / jnp.maximum(c, least)) for t, c, least in parts), jnp.zeros(()))

    def __add__(self, other: "Means") -> "Means":
        return Means(
            self.totals + other.totals, self.counts + other.counts, self.least + other.least
        )

    def __mul__(self, factor: Scalar | float) -> "Means":
        return Means(tuple(factor * total for total in self.totals), self.counts, self.least)

    __rmul__ = __mul__


Term = tuple[str, Scalar | float, Means]
"""A loss's name, its weight, its value."""


def uniform(value: Scalar, rows: int) -> Means:
    """A mean in which each of `rows` examples counts alike."""
    return Means((value * rows,), (jnp.asarray(float(rows)),), (1.0,))


def weighted(values: Float[Array, "*s"], weights: Float[Array, "*w"], least: float = 1.0) -> Means:
    """sum(values weights) / max(sum(weights), least): 0, and not nan, where all weights are 0.

    weights: of the shape of `values`, or one that broadcasts to it.
    """
    count = jnp.sum(weights) * (values.size // weights.size)
    return Means((jnp.sum(values * weights),), (count,), (least,))


def counts_of(terms: Sequence[Term]) -> dict[str, Counts]:
    """The counts of each loss by name."""
    return {name: loss.counts for name, _, loss in terms}


def add_up(
    terms: Sequence[Term], counts: Mapping[str, Counts] | None = None
) -> tuple[Scalar, dict[str, Scalar]]:
    """sum of weight * value, and each value by name.

    counts: of the whole batch, by name; then all of it are the shares of these examples in it.
    """
    total, values = jnp.zeros(()), {}
    for name, weight, loss in terms:
        values[name] = loss.value if counts is None else loss.share(counts[name])
        total += weight * values[name]
    return total, values
