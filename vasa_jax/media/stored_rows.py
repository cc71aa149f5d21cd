"""Rows of numbers that are appended one by one, in a temporary file past a few megabytes."""

import tempfile
from typing import IO

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Float

__all__ = ["StoredRows"]

IN_MEMORY_BYTES = 2**24


class StoredRows:
    """Float32 arrays of one shape, appended in order and then read as one array.

    Past `IN_MEMORY_BYTES` they lie in a temporary file without a name (in TMPDIR), of which the
    system keeps in memory what there is room for.
    """

    def __init__(self, *shape: int):
        self._shape = shape
        self._parts: list[np.ndarray] = []
        self._bytes = 0
        self._count = 0
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return self._count

    def append(self, row: Float[np.ndarray, "..."]) -> None:
        """Add a row. Raises UserError where there is no room for it, ValueError for another
        shape."""
        row = np.ascontiguousarray(row, np.float32)
        if row.shape != self._shape:
            raise ValueError(f"a row of shape {row.shape}, not {self._shape}")
        self._parts.append(row)
        self._count += 1
        self._bytes += row.nbytes
        if self._bytes > IN_MEMORY_BYTES:
            self._write()

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115
            for part in self._parts:
                self._file.write(part.data)
        except OSError as error:
            raise UserError(
                f"no room for temporary files in {tempfile.gettempdir()} "
                f"({error.strerror or error}); free some space, or set TMPDIR to another folder"
            ) from None
        self._parts, self._bytes = [], 0

    def array(self) -> Float[np.ndarray, "..."]:
        """All rows, (n, ...); of a file a read-only view. Nothing may be appended after it."""
        if self._file is None:
            return np.stack(self._parts) if self._parts else np.zeros((0, *self._shape), np.float32)
        self._write()
        self._file.flush()
        shape = (self._count, *self._shape)
        return np.memmap(self._file, np.float32, "r", shape=shape)
