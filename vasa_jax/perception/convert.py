"""Turn published weight files into our safetensors: torchvision VGG and ArcFace backbones.

These files are not in the zoo, because no registry carries them: the user fetches one and names it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.params import flatten, load_safetensors, save_safetensors
from vasa_jax.perception.arcface import DEPTHS, depth_of, params_from_torch
from vasa_jax.perception.vgg import VGG16_BLOCKS, VGG19_BLOCKS, params_from_torchvision


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


def _arcface(name: str, state: Mapping[str, np.ndarray]) -> dict:
    depths = DEPTHS[name]
    if depth_of(state) != depths:
        raise UserError(
            f"these are not the weights of arcface-{name}: it has {depths} blocks, "
            f"the file {depth_of(state)}"
        )
    return params_from_torch(state, depths)


CONVERTERS: dict[str, Callable[[Mapping[str, np.ndarray]], dict]] = {
    "vgg16": partial(params_from_torchvision, blocks=VGG16_BLOCKS),
    "vgg19": partial(params_from_torchvision, blocks=VGG19_BLOCKS),
    "vggface": partial(params_from_torchvision, blocks=VGG16_BLOCKS),
    "arcface-r50": partial(_arcface, "r50"),
    "arcface-r100": partial(_arcface, "r100"),
}
"""Network name to the function from its torch state dict to our parameters."""


def convert(name: str, source: Path, out_path: Path) -> Path:
    """Write the parameters of network `name`, read from `source`, as our safetensors.

    Names are joined by '/'. Raises UserError for an unknown name or a file of another network.
    """
    if name not in CONVERTERS:
        raise UserError(f"cannot convert {name!r} (known: {', '.join(CONVERTERS)})")
    params = CONVERTERS[name](read_state(source))
    save_safetensors(Path(out_path), flatten(params), {"network": name})
    return Path(out_path)
