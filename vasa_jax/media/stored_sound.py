"""Decoded audio in a temporary file: an hour at 16 kHz is 230 MB."""

import errno
import tempfile

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Float

__all__ = ["StoredSound"]

IN_MEMORY_BYTES = 2**24
"""Up to here (four minutes) there is no file at all."""
_BYTES = np.dtype(np.float32).itemsize


class StoredSound:
    """Mono float32 samples that are appended block by block, then read in slices.

    Past `IN_MEMORY_BYTES` they lie in a temporary file without a name (in TMPDIR), which the system
    removes with the process, however that ends. `np.asarray` gives all of them.
    """

    def __init__(self):
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115
        self._count = 0

    def append(self, samples: Float[np.ndarray, " n"]) -> None:
        """Add samples at the end. Raises UserError where there is no room for them."""
        try:
            self._file.seek(self._count * _BYTES)
            self._file.write(np.ascontiguousarray(samples, np.float32).tobytes())
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
                raise
            raise UserError(
                f"no room for decoded sound in {tempfile.gettempdir()} ({error.strerror}): an hour "
                "takes 230 MB; free some space, or set TMPDIR to another folder"
            ) from None
        self._count += len(samples)

    def resize(self, count: int) -> None:
        """Cut at `count` samples, or add silence up to there."""
        if count > self._count:
            self.append(np.zeros(count - self._count, np.float32))
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice) -> Float[np.ndarray, " n"]:
        start, stop, step = part.indices(self._count)
        if step != 1:
            raise ValueError(f"stored sound is read in its order, not with a step of {step}")
        samples = np.empty(max(stop - start, 0), np.float32)
        self._file.seek(start * _BYTES)
        self._file.readinto(samples.view(np.uint8))
        return samples

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype)
