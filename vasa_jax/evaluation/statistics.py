"""Summary statistics of measurements: mean, median, and a bootstrap interval over people.

Frames of one clip and clips of one person are not independent, so the bootstrap resamples whole
groups (people).
"""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from vasa_jax.typing import Float

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """Statistics of one metric; None where nothing was measured."""

    count: int  # measurements that are known
    missing: int  # measurements that are NaN
    groups: int
    mean: float | None
    median: float | None
    low: float | None  # 95 % percentile bootstrap interval of the mean; None for one group
    high: float | None


def bootstrap_interval(
    numerators: Float[np.ndarray, " g"],
    denominators: Float[np.ndarray, " g"],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of sum(numerators) / sum(denominators) over g groups.

    With each group's sum and count it is the interval of the mean (Efron 1979). Raises ValueError
    for fewer than two groups.
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
    """Measurements by metric name and group, collected by `add` and summarised by `summary`."""

    def __init__(self) -> None:
        self._kept: dict[str, list[tuple[Hashable, np.ndarray, np.ndarray]]] = {}

    def add(self, key: str, group: Hashable, values: object) -> None:
        """Add one or more measurements; NaN counts as missing."""
        values = np.atleast_1d(np.asarray(values, np.float64)).ravel()
        self._kept.setdefault(key, []).append((group, values, np.ones_like(values)))

    def add_ratio(self, key: str, group: Hashable, parts: object, wholes: object) -> None:
        """Add parts of wholes. The mean is sum(parts) / sum(wholes), which bears wholes near 0."""
        parts, wholes = (np.atleast_1d(np.asarray(v, np.float64)).ravel() for v in (parts, wholes))
        self._kept.setdefault(key, []).append((group, parts, wholes))

    def names(self) -> list[str]:
        """Metric names in the order of their first measurement."""
        return list(self._kept)

    def summary(self, key: str) -> Summary:
        """Statistics of a metric; an unknown name has count 0."""
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
