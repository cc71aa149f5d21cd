"""Kernels as int8 with a scale per output channel.

    w[..., c] ~ scale[c] q[..., c],  scale[c] = max |w[..., c]| / 127,  q = round(w / scale)

Models compute as before: reading widens the kernels again. Biases, norms, displacement maps and
statistics are few and keep their type.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Float, Int8

__all__ = ["SCALE", "pack", "quantise", "unpack"]

SCALE = "@scale"
"""Ending of the name under which a kernel's scales lie."""
KERNELS = ("kernel", "ws_kernel")
"""Last parts of names that are packed."""
LEAST = 4096
"""Numbers of a kernel that is worth it."""


def quantise(
    kernel: Float[np.ndarray, "*s c"],
) -> tuple[Int8[np.ndarray, "*s c"], Float[np.ndarray, " c"]]:
    """(q, scale). Channels of zeros have scale 1."""
    largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(0)
    scale = np.where(largest > 0, largest / np.float32(127), 1).astype(np.float32)
    return np.round(kernel / scale).astype(np.int8), scale


def pack(flat: Mapping[str, Any], rest: Any) -> dict[str, np.ndarray]:
    """Named arrays with their large kernels packed, and the others as type `rest`."""
    packed: dict[str, np.ndarray] = {}
    for name, value in flat.items():
        if name.rpartition("/")[2] in KERNELS and value.size >= LEAST:
            packed[name], packed[name + SCALE] = quantise(np.asarray(value, np.float32))
        else:
            packed[name] = np.asarray(value).astype(rest)
    return packed


def unpack(flat: Mapping[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """The inverse of `pack`, kernels as float32; arrays without scales as they are.

    Raises UserError for scales that fit no kernel; where: the file, for the message.
    """
    plain = {name: value for name, value in flat.items() if not name.endswith(SCALE)}
    for name, scale in flat.items():
        if not name.endswith(SCALE):
            continue
        kernel = plain.get(name.removesuffix(SCALE))
        if kernel is None or kernel.dtype != np.int8 or scale.shape != kernel.shape[-1:]:
            raise UserError(
                f"{where}: {name} fits no kernel; the file is damaged or of another version"
            )
        plain[name.removesuffix(SCALE)] = kernel.astype(np.float32) * scale
    return plain
