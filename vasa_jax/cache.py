"""Where downloaded weights and compiled programs are kept between runs."""

import os
from pathlib import Path

from vasa_jax.errors import UserError


def cache_dir(*parts: str) -> Path:
    """The cache folder of vasa_jax, or a folder inside it; made when it is not there.

    `$VASA_JAX_CACHE`, else `$XDG_CACHE_HOME/vasa_jax`, else `~/.cache/vasa_jax`.
    `cache_dir("xla")` is the folder for XLA's compiled programs.
    Raises UserError when it cannot be made.
    """
    chosen = os.environ.get("VASA_JAX_CACHE")
    if chosen:
        root = Path(chosen).expanduser()
    else:
        base = os.environ.get("XDG_CACHE_HOME")
        root = (Path(base).expanduser() if base else Path.home() / ".cache") / "vasa_jax"
    folder = root.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the cache folder {folder} ({error.strerror}): "
            "set VASA_JAX_CACHE to a folder that you may write to"
        ) from None
    return folder
