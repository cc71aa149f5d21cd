"""The output files of a run: small, and each whole at any moment."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.params import flatten, load_safetensors, save_safetensors, unflatten

MOST = 15 * 2**20
"""Bytes of one file, below the 16 MiB that can be transferred."""
LOG = "log.jsonl"


class Output:
    """A folder with `NAME-0.safetensors`, `NAME-1.safetensors`, ... of bfloat16 parameters, and a
    log of one JSON object a line."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, params: Mapping[str, Any], about: Mapping[str, Any]) -> int:
        """Write parameters under a name, replacing older ones; returns their bytes."""
        flat = {k: np.asarray(v).astype(jnp.bfloat16) for k, v in flatten(params).items()}
        shards: list[dict[str, np.ndarray]] = [{}]
        size = 0
        for key, value in flat.items():
            if size + value.nbytes > MOST and shards[-1]:
                shards.append({})
                size = 0
            shards[-1][key] = value
            size += value.nbytes
        about = {"about": json.dumps(about), "shards": str(len(shards))}
        for number, shard in enumerate(shards):
            save_safetensors(self.folder / f"{name}-{number}.safetensors", shard, about)
        return sum(value.nbytes for value in flat.values())

    def log(self, **values: Any) -> None:
        """Append a line to the log and print it."""
        line = json.dumps(values, default=float)
        with (self.folder / LOG).open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)


def load(folder: Path, name: str) -> dict[str, Any]:
    """Parameters that `Output.save` wrote, float32. Raises UserError where they are missing."""
    from vasa_jax.params import read_metadata

    first = folder / f"{name}-0.safetensors"
    if not first.exists():
        raise UserError(f"{folder}: holds no {first.name}; give the folder that a run left")
    flat: dict[str, np.ndarray] = {}
    for number in range(int(read_metadata(first)["shards"])):
        flat |= load_safetensors(folder / f"{name}-{number}.safetensors")
    return unflatten({key: value.astype(np.float32) for key, value in flat.items()})
