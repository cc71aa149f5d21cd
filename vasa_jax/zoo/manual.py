"""Weights that no package registry carries: where to find them, and where to put them by hand."""

from dataclasses import dataclass
from pathlib import Path

from vasa_jax.cache import cache_dir
from vasa_jax.errors import UserError


@dataclass(frozen=True)
class ManualWeight:
    """One file that users download themselves."""

    name: str
    purpose: str
    file: str  # its name in the cache
    licence: str
    home: str  # where it is published
    convert: str = ""  # the kind for `weights convert`; "": the file is read as published

    @property
    def path(self) -> Path:
        """Where it belongs; it may not be there."""
        return cache_dir("weights") / self.name / self.file


_MANUAL = (
    ManualWeight(
        "wav2vec2-base",
        "speech features of `vasa1` and `base256`",
        "model.safetensors",
        "Apache-2.0",
        "model.safetensors of facebook/wav2vec2-base-960h on Hugging Face",
    ),
    ManualWeight(
        "wav2vec2-large",
        "speech features with audio.variant=large",
        "model.safetensors",
        "Apache-2.0",
        "model.safetensors of facebook/wav2vec2-large-960h-lv60-self on Hugging Face",
    ),
    ManualWeight(
        "vgg19",
        "the perceptual loss as in the paper",
        "vgg19.safetensors",
        "BSD (torchvision)",
        "torchvision's vgg19-dcbb9e9d.pth",
        "vgg19",
    ),
    ManualWeight(
        "vggface",
        "the loss of face features as in MegaPortraits",
        "vggface.safetensors",
        "unstated, or CC BY-NC (University of Oxford)",
        "vgg_face_dag.pth, VGG-16 of Parkhi et al. 2015 for PyTorch (Oxford's VGG group)",
        "vggface",
    ),
    ManualWeight(
        "arcface-r50",
        "the identity losses",
        "arcface-r50.safetensors",
        "non-commercial (insightface)",
        "backbone.pth of insightface's arcface_torch, iresnet50",
        "arcface-r50",
    ),
    ManualWeight(
        "arcface-r100",
        "the identity losses",
        "arcface-r100.safetensors",
        "non-commercial (insightface)",
        "backbone.pth of insightface's arcface_torch, iresnet100",
        "arcface-r100",
    ),
    ManualWeight(
        "syncnet",
        "SC and SD of `vasa-jax score`",
        "syncnet.safetensors",
        "none stated (University of Oxford)",
        "syncnet_v2.model of joonson/syncnet_python (Oxford's VGG page of lipsync)",
        "syncnet",
    ),
)


def manual_weights() -> tuple[ManualWeight, ...]:
    """All such weights."""
    return _MANUAL


def find_manual(name: str) -> ManualWeight | None:
    """The entry called `name`, or None."""
    return next((own for own in _MANUAL if own.name == name), None)


def manual_path(own: ManualWeight) -> Path:
    """The file in the cache; UserError, saying where to get it and where to put it, if missing."""
    if own.path.is_file():
        return own.path
    how = f"put it at {own.path}"
    if own.convert:
        how = f"run `vasa-jax weights convert {own.convert} FILE -o {own.path}`"
    raise UserError(
        f"the weights {own.name!r} ({own.purpose}; {own.licence}) ship in no package: "
        f"get {own.home} and {how}"
    )
