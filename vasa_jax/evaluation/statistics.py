"""From many measurements to a figure: count, mean, median and how sure the mean is.

Frames of one clip, and clips of one person, are alike. So the interval comes from drawing whole
groups (people) anew, not frames.
"""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from vasa_jax.typing import Float

RESAMPLES = 2000
CONFIDENCE = 0.95


class Summary(NamedTuple):
    """count: measurements that are known; missing: that are not. mean and median over all that are
    known, low and high: 95 % percentile bootstrap interval of the mean over groups; None where
    nothing is known, the interval also where there is one group only. groups: their number."""

    count: int
    missing: int
    groups: int
    mean: float | None
    median: float | None
    low: float | None
    high: float | None


def bootstrap_interval(
    numerators: Float[np.ndarray, " g"],
    denominators: Float[np.ndarray, " g"],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of sum(numerators) / sum(denominators), the groups drawn with return.

    With a group's sum and count this is the interval of the mean (Efron 1979). Needs two groups.
    """
    if len(numerators) < 2:
        raise ValueError("a bootstrap interval needs two groups or more")
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(numerators), (resamples, len(numerators)))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = numerators[drawn].sum(1) / denominators[drawn].sum(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios[np.isfinite(ratios)], [tail, 1 - tail])
    return float(low), float(high)


class Samples:
    """Measurements under names, each of a group; thrown together with `add`, read by `summary`."""

    def __init__(self):
        self._kept: dict[str, list[tuple[Hashable, np.ndarray, np.ndarray]]] = {}

    def add(self, key: str, group: Hashable, values: object) -> None:
        """One or more measurements; NaN is one that could not be made."""
        values = np.atleast_1d(np.asarray(values, np.float64)).ravel()
        self._kept.setdefault(key, []).append((group, values, np.ones_like(values)))

    def add_ratio(self, key: str, group: Hashable, parts: object, wholes: object) -> None:
        """Parts and the wholes that they are a share of: the mean is sum of parts / sum of wholes,
        so that a whole near 0 does no harm."""
        parts, wholes = (np.atleast_1d(np.asarray(v, np.float64)).ravel() for v in (parts, wholes))
        self._kept.setdefault(key, []).append((group, parts, wholes))

    def names(self) -> list[str]:
        """The names, in the order of their first measurement."""
        return list(self._kept)

    def values(self, key: str) -> Float[np.ndarray, " n"]:
        """Every known measurement of a name (parts over wholes for a ratio)."""
        parts, wholes, _, _ = self._known(key)
        return parts / wholes

    def summary(self, key: str) -> Summary:
        """The figure of a name; with no measurement at all where the name is not known."""
        parts, wholes, groups, missing = self._known(key)
        count = len(parts)
        if not count:
            return Summary(0, missing, 0, None, None, None, None)
        names, place = np.unique(groups, return_inverse=True)
        sums = np.bincount(place, parts), np.bincount(place, wholes)
        low, high = bootstrap_interval(*sums) if len(names) > 1 else (None, None)
        mean = float(parts.sum() / wholes.sum())
        return Summary(
            count, missing, len(names), mean, float(np.median(parts / wholes)), low, high
        )

    def _known(self, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        rows = self._kept.get(key, [])
        empty = np.zeros(0)
        parts = np.concatenate([empty, *(parts for _, parts, _ in rows)])
        wholes = np.concatenate([empty, *(wholes for _, _, wholes in rows)])
        groups = np.array([str(g) for g, values, _ in rows for _ in values], dtype=str)
        known = np.isfinite(parts) & np.isfinite(wholes) & (wholes > 0)
        return parts[known], wholes[known], groups[known], int((~known).sum())
