"""Standard streams whose reader may close them (`... | head -1`)."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vasa_jax.errors import UserError


class Outlet:
    """A text stream for `print`, logging and rich; all else is the stream's own.

    Once the reader of a pipe is gone, what is written is dropped, and the work goes on. Any other
    failure, such as a full disk, raises UserError; must: False drops then, too.
    """

    def __init__(self, stream: Any, must: bool = True):
        self._stream, self._must = stream, must

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        # What lies in the stream's buffer would fail again when the interpreter flushes it at exit.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if self._must and not isinstance(error, BrokenPipeError):
            raise UserError(
                f"cannot write to standard output ({error.strerror or error}); "
                "send it to a place with room"
            ) from None


@contextmanager
def outliving_readers() -> Iterator[None]:
    """Standard output and error as `Outlet`s while the block runs; both are flushed at its end."""
    before = sys.stdout, sys.stderr
    # A stream that was closed from the start (`>&-`) is None, and print knows that.
    out, err = (
        None if stream is None else Outlet(stream, must)
        for stream, must in zip(before, (True, False), strict=True)
    )
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for outlet in (err, out):
            if outlet is not None:
                outlet.flush()
