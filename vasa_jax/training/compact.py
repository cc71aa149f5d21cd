"""Small copies of a training state, for machines that are lent in slices and give little back.

A checkpoint of AdamW with averages takes 16 bytes a parameter. Here parameters keep 16 bits of
mantissa (3 bytes), and moments and averages one byte each, so 6 in all: 10M parameters fit into
60 MiB, and more where what is soon made up for is left out. Going on from such a copy is not bit
for bit what it would have been; Orbax's checkpoints (`vasa_jax.training.checkpoint`) are. How
moments survive one byte: Dettmers et al. 2021 (2110.02861), block by block.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole
from vasa_jax.training.mesh import path_name
from vasa_jax.training.state import TrainState
from vasa_jax.typing import Float, UInt8

PART_BYTES = 16 * 2**20
TOTAL_BYTES = 60 * 2**20
BLOCK = 256
SMALL = 1024
"""Arrays of fewer entries are stored as they are."""
HEADER = "state.json"


def pack(state: TrainState, extra: Any, folder: Path, most: int = TOTAL_BYTES) -> int:
    """Write a state and `extra` (JSON, such as the place in the data) as `folder`/part-NN.bin and
    state.json, no file larger than 16 MiB; returns the bytes of all. What was there is replaced.

    Where all would be more than `most` bytes, first moments are left out (`unpack` starts them at
    0; they remember some ten steps), and if that is not enough averages too (`unpack` starts them
    from the parameters). Raises UserError where even the rest is too much.
    """
    blobs, table = {}, {}
    leaves = {name: np.asarray(value) for name, value in _leaves(state)}
    for name, value in leaves.items():
        kind = _kind(name, value)
        partner = _as_read_back(leaves[_start_of(name)]) if kind == "ema" else None
        blobs[name] = _encode(kind, value, partner)
        table[name] = {"kind": kind, "shape": list(value.shape), "type": str(value.dtype),
                       "bytes": len(blobs[name])}  # fmt: skip
    for without in ((), ("mu",), ("mu", "ema")):
        kept = {k: entry for k, entry in table.items() if entry["kind"] not in without}
        content = b"".join(blobs[name] for name in kept)
        header = json.dumps({"arrays": kept, "extra": extra}).encode()
        if len(content) + len(header) <= most:
            break
    else:
        raise UserError(f"{folder}: the state takes {len(content) / 2**20:.0f} MiB, more than "
                        f"{most / 2**20:.0f}; make the model smaller")  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    parts = [content[k : k + PART_BYTES] for k in range(0, len(content), PART_BYTES)]
    # The header goes first and comes last: a copy without it is no copy.
    (folder / HEADER).unlink(missing_ok=True)
    for old in folder.glob("part-*.bin"):
        old.unlink()
    for number, part in enumerate(parts):
        write_whole(folder / f"part-{number:02d}.bin", "training state", part)
    write_whole(folder / HEADER, "training state", header)
    return len(content) + len(header)


def unpack(folder: Path, like: TrainState) -> tuple[TrainState, Any]:
    """(state, extra) as `pack` stored them. like: a state of the same shapes, or its structs.

    Raises UserError when there is no whole copy, or one of another model.
    """
    try:
        header = json.loads((folder / HEADER).read_text())
        content = b"".join(part.read_bytes() for part in sorted(folder.glob("part-*.bin")))
        table, extra = header["arrays"], header["extra"]
        if len(content) != sum(entry["bytes"] for entry in table.values()):
            raise ValueError("parts are missing")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: holds no whole copy of a training state ({error})") from None
    found, place = {}, 0
    for name, entry in table.items():
        blob, place = content[place : place + entry["bytes"]], place + entry["bytes"]
        partner = found[_start_of(name)] if entry["kind"] == "ema" else None
        found[name] = _decode(entry, blob, partner)
    for name, value in _leaves(like):
        if name not in found and name.startswith("ema/") and _start_of(name) in found:
            found[name] = found[_start_of(name)].copy()
        if name not in found and "/mu/" in name:
            found[name] = np.zeros(value.shape, value.dtype)
        if name not in found or found[name].shape != value.shape:
            raise UserError(f"{folder}: {name!r} is not there or has another shape, so it is a "
                            "copy of another model")  # fmt: skip
    leaves = [found[name] for name, _ in _leaves(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), extra


def _leaves(state):
    return [(path_name(p), x) for p, x in jax.tree_util.tree_flatten_with_path(state)[0]]


def _kind(name, value):
    if value.size < SMALL or value.dtype != np.float32:
        return "raw"
    if name.startswith("ema/"):
        return "ema"
    for moment in ("mu", "nu"):
        if f"/{moment}/" in name:
            return moment
    return "mantissa16"


def _start_of(name):
    """The parameters that an average is stored as a difference to."""
    return name.replace("ema/", "params/", 1)


def _as_read_back(params):
    return _read_mantissa16(_mantissa16(params), params.shape)


def _encode(kind: str, value: np.ndarray, partner: np.ndarray | None) -> bytes:
    if kind == "raw":
        return value.tobytes()
    if kind == "mantissa16":
        return _mantissa16(value)
    if kind == "ema":
        return _blocks(value - partner)
    if kind == "mu":
        return _blocks(value)
    # Rounded up: a second moment of 0 would make the next step huge.
    return _blocks(np.sqrt(value), up=True)


def _decode(entry: dict, blob: bytes, partner: np.ndarray | None) -> np.ndarray:
    kind, shape = entry["kind"], tuple(entry["shape"])
    if kind == "raw":
        return np.frombuffer(blob, np.dtype(entry["type"])).reshape(shape).copy()
    if kind == "mantissa16":
        return _read_mantissa16(blob, shape)
    value = _read_blocks(blob, shape)
    if kind == "ema":
        return partner + value
    return value**2 if kind == "nu" else value


def _mantissa16(value: Float[np.ndarray, "*s"]) -> bytes:
    """The upper three bytes of each float32, rounded."""
    bits = np.ascontiguousarray(value, "<f4").view("<u4").ravel() + np.uint32(0x80)
    return bits.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()


def _read_mantissa16(blob: bytes, shape: tuple[int, ...]) -> Float[np.ndarray, "*s"]:
    upper = np.frombuffer(blob, np.uint8).reshape(-1, 3)
    whole = np.concatenate([np.zeros((len(upper), 1), np.uint8), upper], 1)
    return whole.view("<f4").reshape(shape).astype(np.float32)


def _blocks(value: np.ndarray, up: bool = False) -> bytes:
    """One signed byte an entry and a float32 scale for every block."""
    rows = np.pad(value.ravel(), (0, -value.size % BLOCK)).reshape(-1, BLOCK)
    scale = np.abs(rows).max(1, keepdims=True).astype("<f4") / np.float32(127)
    codes = rows / np.maximum(scale, np.finfo(np.float32).tiny)
    codes = np.ceil(codes) if up else np.round(codes)
    codes = np.clip(codes, -127, 127).astype(np.int8)
    return scale.tobytes() + codes.tobytes()


def _read_blocks(blob: bytes, shape: tuple[int, ...]) -> Float[np.ndarray, "*s"]:
    size = int(np.prod(shape))
    count = -(-size // BLOCK)
    scale = np.frombuffer(blob, "<f4", count)[:, None]
    codes: UInt8[np.ndarray, "n b"] = np.frombuffer(blob, np.int8, offset=4 * count)
    return (codes.reshape(count, BLOCK) * scale).ravel()[:size].reshape(shape).astype(np.float32)
