"""The frozen networks that stage 1's losses compare images by: VGG, VGGFace, face identity."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vasa_jax import zoo
from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.int8 import unpack
from vasa_jax.params import load_safetensors, read_metadata, unflatten
from vasa_jax.perception import dlib_identity, lpips
from vasa_jax.perception.vgg import VGG, VGG16_BLOCKS, VGG19_BLOCKS, VGGFACE_MEAN, VGGFACE_STD

VGG_FACE = VGG(blocks=VGG16_BLOCKS, mean=VGGFACE_MEAN, std=VGGFACE_STD)


@dataclass(frozen=True)
class Perception:
    """The kinds of the losses' frozen networks; their parameters are beside it, in `frozen`, by the
    same names. A network whose parameters are missing there is not used."""

    vgg: VGG = field(default_factory=VGG)  # of whole images
    face: VGG = VGG_FACE  # of aligned faces
    identity: str = "dlib"  # a name of `perception.identity.identity_network`


def loss_networks(
    config: Config,
    vgg: Path | None = None,
    identity: Path | None = None,
    vggface: Path | None = None,
) -> tuple[Perception, dict[str, Any]]:
    """The networks that the config's losses need, and their parameters by name.

    vgg, identity: converted weights in place of the zoo's. vggface: VGGFace for the loss
    `face_features`, which compares the identity network's features without it. Raises UserError for
    a file of another network.
    """
    for path in (vgg, identity, vggface):
        # A file that no loss of this config reads is a mistake all the same.
        if path is not None and not path.is_file():
            raise UserError(f"{path}: no such file; make one by `vasa-jax weights convert`")
    losses = config.face_losses
    kinds: dict[str, Any] = {}
    frozen: dict[str, Any] = {}
    transfer, consistency = losses.transfer, losses.consistency
    swaps = transfer.weight and (transfer.perceptual or transfer.patches)
    if losses.perceptual.weight or swaps or (consistency.weight and consistency.perceptual):
        if vgg is None:
            name, frozen["vgg"] = "vgg16", lpips.load(zoo.ensure("vgg16-lpips"))["vgg"]
        else:
            name, frozen["vgg"] = _converted(vgg, ("vgg19", "vgg16"))
        kinds["vgg"] = VGG(blocks={"vgg19": VGG19_BLOCKS, "vgg16": VGG16_BLOCKS}[name])
    faces = losses.face_features.weight
    if faces and vggface is not None:
        _, frozen["face"] = _converted(vggface, ("vggface",))
    if losses.cross_identity.weight or (faces and vggface is None):
        if identity is None:
            kinds["identity"] = "dlib"
            frozen["identity"] = dlib_identity.load(zoo.ensure("dlib-face-recognition"))
        else:
            names = ("arcface-r50", "arcface-r100")
            kinds["identity"], frozen["identity"] = _converted(identity, names)
    return Perception(**kinds), frozen


def _converted(path: Path, kinds: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The network that a file names, and its parameters; kernels may be packed as int8."""
    flat = load_safetensors(path)
    name = read_metadata(path).get("network")
    if name not in kinds:
        raise UserError(
            f"{path}: holds {name or 'no network of ours'}, not {' or '.join(kinds)}; "
            "make it by `vasa-jax weights convert`"
        )
    return name, unflatten(unpack(flat, str(path)))
