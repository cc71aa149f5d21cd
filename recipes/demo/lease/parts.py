"""The parts of the run, each with its config and its share of the time."""

from dataclasses import replace
from typing import Any, Literal, NamedTuple

from recipes.demo.config import (
    DEMO,
    DISCRIMINATOR,
    DYN_LOSSES,
    GENERATOR_LOSSES,
    POSE_LOSSES,
    TRIES,
    VGG_LOSSES,
    resized,
    train_section,
    with_train,
)
from vasa_jax.compile_cache import QUICK_COMPILE
from vasa_jax.config import (
    Config,
    FaceLossConfig,
    FaceTrainConfig,
    PoseTrainConfig,
    TrainConfig,
    get_config,
)
from vasa_jax.data_pipeline.loading.pairs import Augment

AUGMENT = Augment(own=0.25, views=(), tries=TRIES)
"""Of the generator's transfers, whose drivers are exact codes."""
FACE_DISCRIMINATOR = replace(DISCRIMINATOR, face_patches=True)


class Part(NamedTuple):
    """One part of the run."""

    name: str
    kind: Literal["pose", "dyn", "generator"]  # an encoder alone, or the generator
    share: float  # of the seconds for training
    steps: int  # of one dispatch, about two seconds of the accelerator
    config: Config

    @property
    def train(self) -> TrainConfig:
        """The part's section of its config."""
        return getattr(self.config, train_section(self.kind))

    @property
    def batch(self) -> int:
        """Examples of a step."""
        return self.train.batch

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return self.train.learning_rate

    @property
    def size(self) -> int:
        """Side of the images, pixels."""
        return self.config.face.image_size

    def with_batch(self, batch: int) -> "Part":
        """The part with another batch."""
        return self._replace(config=with_train(self.config, self.kind, batch=batch))


class Scale(NamedTuple):
    """The sizes of a whole run."""

    model: Config
    picture: int  # side of the rendered images, pixels
    groups: int  # capacity of the training pool
    held: int  # groups of held-out people
    swaps: int  # sampled of each group
    least: int  # groups before training begins
    parts: tuple[Part, ...]
    options: tuple[tuple[str, Any], ...] = ()  # of the compiler


_OPTIMISER: dict[str, Any] = {
    "warmup": 0,
    "schedule": "constant",
    "beta1": 0.9,
    "weight_decay": 1e-4,
    "clip": 5.0,
    "ema": 0.998,
    "flat": True,
}


def _encoder(
    model: Config, kind: Literal["pose", "dyn"], share: float, size: int, batch: int, steps: int
) -> Part:
    """A part that trains an encoder alone."""
    losses = POSE_LOSSES if kind == "pose" else DYN_LOSSES
    config = replace(resized(model, size), face_losses=losses)
    config = with_train(config, kind, batch=batch, learning_rate=3e-4, **_OPTIMISER)
    return Part(kind, kind, share, steps, config)


def _generator(
    model: Config,
    name: str,
    share: float,
    size: int,
    batch: int,
    rate: float,
    steps: int,
    losses: FaceLossConfig,
) -> Part:
    """A part that trains the generator on frozen encoders and exact codes."""
    config = with_train(
        replace(resized(model, size), face_losses=losses),
        "generator",
        batch=batch,
        learning_rate=rate,
        **_OPTIMISER,
        scan_decodes=True,
        freeze_pose=True,
        freeze_dyn=True,
        arkit_code=True,
        encoded_source=True,
    )
    return Part(name, "generator", share, steps, config)


_MODEL = replace(DEMO, train_pose=PoseTrainConfig(), train_face=FaceTrainConfig(), precision="bf16")
LEASE = Scale(
    _MODEL,
    picture=256,
    groups=2000,
    held=8,
    swaps=12,
    least=32,
    parts=(
        _encoder(_MODEL, "pose", 0.10, 256, 256, 200),
        _encoder(_MODEL, "dyn", 0.14, 256, 256, 200),
        _generator(_MODEL, "generator128", 0.32, 128, 64, 4e-4, 20, VGG_LOSSES),
        _generator(
            _MODEL,
            "generator256",
            0.44,
            256,
            32,
            2e-4,
            20,
            replace(VGG_LOSSES, adversarial=FACE_DISCRIMINATOR),
        ),
    ),
)
"""Nine minutes of one accelerator of 141 GB. Shares follow the figures that lag most."""

_DEBUG = get_config("debug")
_TOY = replace(
    _DEBUG,
    face=replace(_DEBUG.face, dyn_dim=56, extensions=replace(_DEBUG.face.extensions, dyn_crop=32)),
)
REHEARSAL = LEASE._replace(
    model=_TOY,
    picture=64,
    groups=24,
    held=2,
    swaps=4,
    least=2,
    options=tuple(QUICK_COMPILE.items()),
    parts=(
        _encoder(_TOY, "pose", 0.10, 64, 4, 2),
        _encoder(_TOY, "dyn", 0.14, 64, 4, 2),
        _generator(_TOY, "generator128", 0.32, 32, 4, 4e-4, 2, GENERATOR_LOSSES),
        _generator(
            _TOY,
            "generator256",
            0.44,
            64,
            4,
            2e-4,
            2,
            replace(GENERATOR_LOSSES, adversarial=replace(FACE_DISCRIMINATOR, scales=2)),
        ),
    ),
)
"""The same run in minutes of two CPU cores, on the config that tests use."""
