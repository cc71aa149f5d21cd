"""Reader of Whisper's encoder in a CTranslate2 model.bin, a flat little-endian file.

Layout: format version (u32), name of the specification, its revision (u32), number of arrays
(u32); then for each array its name, rank (u8), dimensions (u32 each), type (u8), size in bytes
(u32) and the values. Names are a u16 length, then that many bytes with a closing zero. Aliases
follow, which the encoder does not use.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vasa_jax.errors import UserError

_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_SPEC = "WhisperSpec"


def load_ctranslate2(path: Path | str) -> dict[str, np.ndarray]:
    """The encoder's arrays in float32 under Hugging Face's names (`conv1.weight`, …).

    Raises UserError for a missing, truncated, foreign or quantised file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    data = path.read_bytes()
    try:
        raw = {k.removeprefix("encoder/"): v for k, v in _arrays(data) if k.startswith("encoder/")}
        return dict(_renamed(raw))
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not a readable CTranslate2 Whisper file ({error}); give a "
            "float model.bin of CTranslate2 or a model.safetensors"
        ) from None
    except KeyError as error:
        raise UserError(
            f"{path}: this CTranslate2 file lacks {error}; it holds another network"
        ) from None


def _arrays(data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    at = 0

    def number(code: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize("<" + code)
        return value

    def text() -> str:
        nonlocal at
        size = number("H")
        raw = data[at : at + size]
        at += size
        if len(raw) != size or not raw.endswith(b"\0"):
            raise ValueError("a name has no end")
        return raw[:-1].decode()

    number("I")
    name = text()
    if name != _SPEC:
        raise ValueError(f"it holds {name[:40]!r}, not {_SPEC!r}")
    number("I")
    for _ in range(number("I")):
        name = text()
        shape = tuple(number("I") for _ in range(number("B")))
        code, size = number("B"), number("I")
        if code not in _TYPES:
            raise ValueError(f"{name} has the unknown type {code}")
        dtype = np.dtype(_TYPES[code])
        count = int(np.prod(shape, dtype=np.int64))
        if count * dtype.itemsize != size:
            raise ValueError(f"{name} has {size} bytes for the shape {shape}")
        yield name, np.frombuffer(data, dtype, count, at).reshape(shape)
        at += size


def _renamed(raw: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    def pair(source: str, name: str, kinds: tuple[str, str]) -> Iterator[tuple[str, np.ndarray]]:
        for kind, ours in zip(kinds, ("weight", "bias"), strict=True):
            array = raw[f"{source}/{kind}"]
            if array.dtype.kind != "f":
                raise ValueError(f"{source}/{kind} is quantised to {array.dtype}")
            yield f"{name}.{ours}", array.astype(np.float32)

    linear, norm = ("weight", "bias"), ("gamma", "beta")
    yield "embed_positions.weight", raw["position_encodings/encodings"].astype(np.float32)
    yield from pair("conv1", "conv1", linear)
    yield from pair("conv2", "conv2", linear)
    yield from pair("layer_norm", "layer_norm", norm)
    layers = {k.split("/")[0] for k in raw if k.startswith("layer_") and "/self_attention/" in k}
    for i in range(len(layers)):
        source, name = f"layer_{i}", f"layers.{i}"
        joined = dict(pair(f"{source}/self_attention/linear_0", "qkv", linear))
        weights, biases = (np.split(joined[f"qkv.{kind}"], 3) for kind in linear)
        # Whisper has no key bias; any value would be the same for all keys and fall out of the
        # softmax, so nothing is lost by leaving it out.
        for part, weight, bias in zip("qkv", weights, biases, strict=True):
            yield f"{name}.self_attn.{part}_proj.weight", weight
            if part != "k":
                yield f"{name}.self_attn.{part}_proj.bias", bias
        yield from pair(f"{source}/self_attention/linear_1", f"{name}.self_attn.out_proj", linear)
        yield from pair(f"{source}/self_attention/layer_norm", f"{name}.self_attn_layer_norm", norm)
        yield from pair(f"{source}/ffn/linear_0", f"{name}.fc1", linear)
        yield from pair(f"{source}/ffn/linear_1", f"{name}.fc2", linear)
        yield from pair(f"{source}/ffn/layer_norm", f"{name}.final_layer_norm", norm)
