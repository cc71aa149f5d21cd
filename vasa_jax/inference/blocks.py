"""Motion in blocks of the frames that a device decodes at once."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vasa_jax.typing import Float, Source

__all__ = ["Block", "BlockMaker"]


class Block(NamedTuple):
    """Neighbouring frames of one clip, as many as a device decodes at once."""

    clip: int  # number of the clip
    sources: list[Source]  # its portrait, on each lane
    vectors: Float[np.ndarray, "n m"]  # motion; rows past `frames` are padding
    frames: int


class BlockMaker:
    """Cuts the motion of one clip, which comes part by part, into blocks of `size` frames.

    Frame t is row t mod size of its block, and a block holds one clip alone: neither the parts nor
    other clips change a frame.
    """

    def __init__(self, clip: int, sources: list[Source], size: int):
        self._clip, self._sources, self._size = clip, sources, size
        self._rest: np.ndarray | None = None

    def __call__(self, motion: Float[np.ndarray, "t m"], last: bool) -> Iterator[Block]:
        """The blocks that the next motion completes; after the `last` also a padded one."""
        if self._rest is not None:
            motion = np.concatenate([self._rest, motion])
        whole = len(motion) if last else len(motion) // self._size * self._size
        self._rest = motion[whole:]
        for start in range(0, whole, self._size):
            chunk = motion[start : min(start + self._size, whole)]
            yield Block(self._clip, self._sources, _padded(chunk, self._size), len(chunk))


def _padded(rows: np.ndarray, size: int) -> np.ndarray:
    """The rows, the last one repeated up to `size`: programs have one shape."""
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
