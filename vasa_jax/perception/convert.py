"""Turn published weight files into our safetensors: torchvision VGG, ArcFace backbones, SyncNet.

These files are not in the zoo, because no registry carries them: the user fetches one and names it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.params import flatten, save_safetensors
from vasa_jax.perception.arcface import DEPTHS, depth_of, params_from_torch
from vasa_jax.perception.torch_state import read_state
from vasa_jax.perception.vgg import VGG16_BLOCKS, VGG19_BLOCKS, params_from_torchvision
from vasa_jax.sync import syncnet


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
    syncnet.NETWORK: syncnet.params_from_torch,
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
