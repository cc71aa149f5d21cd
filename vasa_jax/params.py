"""Parameter trees as flat dictionaries: names, safetensors files, checks of shapes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFile


def flatten(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries of leaves as one dictionary with `a/b/c` keys, in the tree's order."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict:
    """The inverse of `flatten`."""
    tree: dict = {}
    for name, value in flat.items():
        *parents, leaf = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def check_against(flat: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Raise UserError unless `flat` has exactly the names and shapes of `expected`."""
    missing = sorted(set(expected) - set(flat))
    unknown = sorted(set(flat) - set(expected))
    if missing:
        raise UserError(
            f"{where}: lacks {len(missing)} arrays, first {missing[0]!r}; it was made "
            "for another model"
        )
    if unknown:
        raise UserError(
            f"{where}: holds {len(unknown)} arrays this model has no place for, first "
            f"{unknown[0]!r}; it was made for another model"
        )
    for name, leaf in expected.items():
        if tuple(flat[name].shape) != tuple(leaf.shape):
            raise UserError(
                f"{where}: {name} has shape {tuple(flat[name].shape)}, the model needs "
                f"{tuple(leaf.shape)}; it was made for another config"
            )


def save_safetensors(path: Path, flat: Mapping[str, Any], metadata: dict[str, str]) -> None:
    """Write named arrays to one safetensors file, whole or not at all.

    Raises UserError where it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {k: np.asarray(jax.device_get(v), order="C") for k, v in flat.items()}
    pending = PendingFile(path, "weights")
    try:
        # safetensors makes files that only their owner may read; a team shares its checkpoints.
        mode = pending.temporary.stat().st_mode
        save_file(arrays, str(pending.temporary), metadata=metadata)
        pending.temporary.chmod(mode)
        pending.commit()
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot write {path} ({error}); free some disk space") from None
    finally:
        pending.discard()


def load_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read every array of a safetensors file, bfloat16 and float16 widened to float32.

    Raises UserError for a missing, truncated or foreign file.
    """
    from safetensors import SafetensorError, deserialize

    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        # By bytes: safetensors' numpy door does not know bfloat16, and its flax door sends every
        # array through a small program of its own, seconds at each start.
        return {name: _array(entry) for name, entry in deserialize(path.read_bytes())}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({error}); it may be truncated "
            "or of another format"
        ) from None


def read_metadata(path: Path) -> dict[str, str]:
    """The notes in the header of a safetensors file that `load_safetensors` can read."""
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:
        return file.metadata() or {}


_TYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
}


def _array(entry: Mapping[str, Any]) -> np.ndarray:
    """An entry of a safetensors file, writable."""
    array = np.frombuffer(entry["data"], _TYPES[entry["dtype"]]).reshape(entry["shape"])
    wide = _widen(array)
    return wide.copy() if wide is array else wide


def _widen(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "iub" or array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32)
