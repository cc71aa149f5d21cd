"""Audio read in slices: an array, or a file that does not fit into memory."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from vasa_jax.typing import SAMPLE_RATE, Float

PIECE = 60 * SAMPLE_RATE
"""Samples that are looked at together where a whole clip is gone through."""


@runtime_checkable
class Samples(Protocol):
    """Mono samples at 16 kHz in [-1, 1], such as a numpy array (n,)."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Float[np.ndarray, " n"]: ...


def pieces(samples: Samples) -> Iterator[Float[np.ndarray, " n"]]:
    """The samples a minute at a time."""
    for start in range(0, len(samples), PIECE):
        yield samples[start : start + PIECE]


class Scaled:
    """Samples times `gain`, computed where they are read."""

    def __init__(self, samples: Samples, gain: float):
        self._samples, self._gain = samples, np.float32(gain)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, part: slice) -> Float[np.ndarray, " n"]:
        return self._samples[part] * self._gain


class Standardised:
    """Samples with zero mean and unit variance over the whole clip, computed where they are read.

    floor is added to the variance. `np.asarray` gives all of them.
    """

    def __init__(self, samples: Samples, floor: float):
        count = max(len(samples), 1)
        self._samples = samples
        self._mean = sum(float(x.sum(dtype=np.float64)) for x in pieces(samples)) / count
        squares = sum(float(np.square(x - np.float64(self._mean)).sum()) for x in pieces(samples))
        self._deviation = np.sqrt(squares / count + floor)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, part: slice) -> Float[np.ndarray, " n"]:
        centred = self._samples[part] - np.float64(self._mean)
        return (centred / self._deviation).astype(np.float32)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)
