"""Lookup of bundles: a folder, the Hugging Face hub, a wheel, this package."""

import importlib.util
import re
from pathlib import Path

import vasa_jax
from vasa_jax.config import DEFAULT_NAME
from vasa_jax.errors import UserError, require_modules

FILES = ("config.json", "model.safetensors")
"""Of a bundle."""
HUB = "hf:"
_HUB_NAME = re.compile(r"hf:/{1,2}(?P<repo>[\w.-]+/[\w.-]+?)(@(?P<revision>[\w./-]+))?")


def shipped_folder(name: str) -> Path:
    """Where trained weights of a named config lie, if they are installed: in the wheel
    `vasa-jax-weights-NAME`, else in this package."""
    module = f"vasa_jax_weights_{name.replace('-', '_')}"
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    return Path(vasa_jax.__file__).parent / "weights" / name


def resolve_folder(name: str | None, checkpoint: Path | str | None) -> Path | None:
    """Where a run's weights lie: the given checkpoint, else the shipped ones, else nowhere.

    checkpoint: a folder, or `hf://OWNER/NAME[@REVISION]`, which is downloaded once and kept in the
    hub's own cache. Raises UserError where it cannot be had.
    """
    if checkpoint is None:
        shipped = shipped_folder(name or DEFAULT_NAME)
        return shipped if shipped.is_dir() else None
    # A path has lost one of the two slashes.
    if str(checkpoint).startswith(HUB):
        return _from_hub(str(checkpoint))
    return Path(checkpoint)


def _from_hub(address: str) -> Path:
    found = _HUB_NAME.fullmatch(address)
    if found is None:
        raise UserError(f"--checkpoint {address}: give hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    require_modules("huggingface_hub")
    from huggingface_hub import snapshot_download

    try:
        # Nothing else of the repository is of use here.
        folder = snapshot_download(
            found["repo"], revision=found["revision"], allow_patterns=list(FILES)
        )
    except Exception as error:  # the hub has many kinds, and the network's beside them
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"--checkpoint {address}: cannot be downloaded ({why[0]}); check name and "
            "network, or give a folder"
        ) from None
    lacking = [name for name in FILES if not (Path(folder) / name).exists()]
    if lacking:
        raise UserError(
            f"--checkpoint {address}: holds no {lacking[0]}; it is no bundle of `vasa-jax export`"
        )
    return Path(folder)
