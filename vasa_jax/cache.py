"""The cache folder of downloaded weights and compiled programs, and temporary files."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vasa_jax.errors import UserError


def cache_dir(*parts: str) -> Path:
    """The cache folder of vasa_jax, or a folder inside it; made when it is not there.

    `$VASA_JAX_CACHE`, else `$XDG_CACHE_HOME/vasa_jax`, else `~/.cache/vasa_jax`.
    `cache_dir("xla")` is the folder for XLA's compiled programs.
    Raises UserError when it cannot be made, and where there is no home folder to put it into.
    """
    chosen, base = os.environ.get("VASA_JAX_CACHE"), os.environ.get("XDG_CACHE_HOME")
    wanted = Path(chosen) if chosen else Path(base or "~/.cache") / "vasa_jax"
    try:
        folder = wanted.expanduser().joinpath(*parts)
    except RuntimeError:  # a user without HOME and without a line in passwd, or "~nobody"
        raise UserError(
            f"there is no home folder for the cache folder {wanted}: set VASA_JAX_CACHE to a "
            "folder that you may write to"
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the cache folder {folder} ({error.strerror}): "
            "set VASA_JAX_CACHE to a folder that you may write to"
        ) from None
    return folder


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of our own that is gone after the block.

    Raises UserError when there is no place for one.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="vasa_jax_")
    except OSError as error:
        raise UserError(
            f"there is no folder for temporary files ({error.strerror or error}): set TMPDIR to a "
            "folder that you may write to"
        ) from None
    with folder as name:
        yield Path(name)
