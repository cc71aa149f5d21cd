"""The folder of a metric's own network: `config.json`, a header, and `model.safetensors`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import vasa_jax
from vasa_jax.bundle_places import FILES
from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFolder
from vasa_jax.media.places import check_ours
from vasa_jax.params import save_safetensors

__all__ = ["FORMAT", "check_network_place", "save_network"]

FORMAT = 1


def check_network_place(folder: Path, kind: str, what: str) -> None:
    """Raise UserError where weights would replace anything but older ones of the same kind.

    what: the network in words, as "CAPP".
    """

    def known(found: Path) -> bool:
        names = {file.name for file in found.iterdir()}
        header = json.loads((found / FILES[0]).read_text())
        return header["kind"] == kind and names <= {*FILES, "README.md"}

    check_ours(Path(folder), f"weights of {what} alone", known)


def save_network(
    folder: Path,
    kind: str,
    what: str,
    header: Mapping[str, Any],
    flat: Mapping[str, Any],
    dtype: Any = jnp.float32,
) -> None:
    """Write the folder, whole or not at all, in place of an older one of its kind.

    header: what stands in `config.json` beside kind, format and version. flat: arrays by name,
    stored as `dtype`. Raises UserError as `check_network_place` does, and where writing fails.
    """
    check_network_place(folder, kind, what)
    content = {"kind": kind, "format": FORMAT, "version": vasa_jax.__version__, **header}
    with PendingFolder(Path(folder), f"weights of {what}") as pending:
        arrays = {name: np.asarray(jnp.asarray(value, dtype)) for name, value in flat.items()}
        save_safetensors(pending.temporary / FILES[1], arrays, {"kind": kind})
        try:
            (pending.temporary / FILES[0]).write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"{folder}: cannot write the weights ({error})") from None
        pending.commit()
