"""State dicts of torch, read without running anything in them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.params import load_safetensors


def read_state(path: Path) -> dict[str, np.ndarray]:
    """A flat state dict of arrays from a safetensors file or a torch file of plain tensors.

    Torch files are read with `weights_only=True`, so nothing in them is run. Raises UserError for
    a file that holds more than tensors, and when torch is needed and not installed.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return load_safetensors(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path} is a torch file and torch is not installed: run `pip install torch`, or "
            "convert the file to safetensors elsewhere"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged or hostile files raise nearly anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: not a torch file of plain tensors ({reason})") from None
    if not isinstance(state, Mapping):
        raise UserError(f"{path}: holds a {type(state).__name__}, not named tensors")
    state = state.get("state_dict", state)
    if not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(f"{path}: holds more than named tensors; save the model's state_dict")
    return {k.removeprefix("module."): _numpy(v) for k, v in state.items()}


def _numpy(tensor) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
