"""Readers of published weight files: pickled arrays without code, TensorFlow.js binaries."""

import codecs
import collections
import json
import pickle
from pathlib import Path

import numpy as np

from vasa_jax.errors import UserError


def _latin1(text: str, encoding: str) -> bytes:
    # Protocol-2 pickles spell bytes as _codecs.encode(text, "latin1"); no other codec is needed.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed")
    return codecs.encode(text, "latin1")


_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds arrays in dicts and lists; every other global is refused before it is imported."""

    def find_class(self, module: str, name: str):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed") from None


def load_arrays(path: Path) -> dict:
    """A nested dict of numeric arrays from a pickle that holds nothing else.

    Meant for checksummed files of the zoo only. Raises UserError for a file that names any other
    global (code could hide there), holds other leaves, or is damaged.
    """
    try:
        with open(path, "rb") as stream:
            tree = _ArrayUnpickler(stream).load()
        _check_numeric(tree)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{path} is refused: not a plain pickle of arrays ({error})") from None
    return tree


def _check_numeric(tree: object) -> None:
    if not isinstance(tree, dict):
        raise pickle.UnpicklingError("it is not a dict")
    for key, value in tree.items():
        if not isinstance(key, str):
            raise pickle.UnpicklingError(f"the key {key!r} is not text")
        if isinstance(value, dict):
            _check_numeric(value)
        elif not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise pickle.UnpicklingError(f"{key} is not a numeric array")


def load_tfjs(path: Path) -> dict[str, np.ndarray]:
    """Float32 arrays of a TensorFlow.js weight file, dequantised.

    path: the .bin file; NAME-weights_manifest.json lies beside it and lists name, shape and type
    in file order. A quantised integer q stands for q * scale + min.
    """
    manifest = path.with_name(f"{path.stem}-weights_manifest.json")
    raw, arrays, offset = path.read_bytes(), {}, 0
    for group in json.loads(manifest.read_text()):
        for entry in group["weights"]:
            quantisation = entry.get("quantization")
            dtype = np.dtype(quantisation["dtype"] if quantisation else entry["dtype"])
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(raw, dtype.newbyteorder("<"), count, offset)
            offset += values.nbytes
            values = values.astype(np.float32)
            if quantisation:
                values = values * np.float32(quantisation["scale"])
                values = values + np.float32(quantisation["min"])
            arrays[entry["name"]] = values.reshape(entry["shape"])
    if offset != len(raw):
        raise UserError(f"{path} has {len(raw)} bytes, its manifest describes {offset}")
    return arrays
