"""The corpus and the stages of the demo's training, each stage with its config.

`configs/demo.py` is the generator's main stage on a CPU (at twice its image size), the pose stage
and stage 2; `stages` and `motion_config` derive the others from it.
"""

from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

from vasa_jax.config import (
    Config,
    FaceLossConfig,
    TrainConfig,
    get_config,
)
from vasa_jax.config.extensions import TransferLoss
from vasa_jax.config.losses import (
    AdversarialLoss,
    ArkitLabelLoss,
    ConsistencyLoss,
    ContrastLoss,
    CrossIdentityLoss,
    GazeLabelLoss,
    PerceptualLoss,
    PixelLoss,
    PoseLabelLoss,
    RegionLoss,
    SelfLoss,
)

MAPS = "maps.npz"
"""File beside the corpus: the displacement maps of the head model's blendshapes."""
TRIES = 2
"""Expression pairs of which a transfer takes the one whose lips differ more (`Augment.tries`)."""
GENERATOR = (
    "appearance",
    "identity",
    "embed",
    "warp_source",
    "warp_driver",
    "maps_source",
    "maps_driver",
    "canonical",
    "decoder",
    "surface",
    "context",
    "person",
)
"""Parts of the face model that are not motion encoders; a config has some of them."""

Scale = Literal["cpu", "gpu"]
Trains = Literal["pose", "dyn", "generator", "all"]


class Corpus(NamedTuple):
    """Swap groups of the corpus."""

    people: int  # a tenth of them is held out
    groups: int  # of swaps among them
    few: int  # more groups, for training alone, of PEOPLE heads of one skin that appear once
    size: int  # of the images, pixels


PEOPLE = 6
"""Heads of one skin in a group of `Corpus.few`, four images each: rendering skins takes longest."""
CORPUS = {"cpu": Corpus(330, 600, 1_000, 256), "gpu": Corpus(1000, 2000, 5_000, 256)}
DRY_CORPUS = Corpus(40, 24, 3, 256)
"""Of a dry run: the fewest people of whom some are held out."""


def train_section(trains: Trains) -> str:
    """The section of the config that rules the training of these parts."""
    return "train_pose" if trains == "pose" else "train_face"


def with_train(config: Config, trains: Trains, **changes: Any) -> Config:
    """The config with changes in that section."""
    name = train_section(trains)
    sections: dict[str, Any] = {name: replace(getattr(config, name), **changes)}
    return replace(config, **sections)


class Stage(NamedTuple):
    """One stage of the face model's training."""

    name: str
    trains: Trains  # "pose" and "dyn": that encoder alone
    config: Config
    own: float = 0.25  # share of transfers driven by the source's own person
    views: bool = False  # the motion encoder sees augmented views

    @property
    def train(self) -> TrainConfig:
        """The stage's section of its config."""
        return getattr(self.config, train_section(self.trains))

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the face model that the stage trains and hands on; all if empty."""
        return {"pose": ("pose",), "dyn": ("dyn",), "generator": GENERATOR, "all": ()}[self.trains]

    def shortened(self, steps: int, batch: int) -> "Stage":
        """The stage with fewer steps of smaller batches."""
        return self._replace(config=with_train(self.config, self.trains, steps=steps, batch=batch))


DEMO = get_config("demo")
"""The config of the weights, and of the generator's main stage at 256 px."""

GENERATOR_LOSSES = DEMO.face_losses
"""L1 of reconstruction and transfers, and the losses of compositing."""
_OFF = replace(
    GENERATOR_LOSSES,
    pixel=PixelLoss(weight=0.0),
    eyes=RegionLoss(weight=0.0),
    mouth=RegionLoss(weight=0.0),
    transfer=TransferLoss(weight=0.0),
)
_POSE = PoseLabelLoss(weight=2.0)
_GAZE = GazeLabelLoss(weight=1.0)
_ARKIT = ArkitLabelLoss(weight=1.0)
POSE_LOSSES = replace(_OFF, pose=_POSE)
DYN_LOSSES = replace(_OFF, gaze=_GAZE, arkit=_ARKIT)
PATCH_LOSSES = replace(GENERATOR_LOSSES, transfer=replace(GENERATOR_LOSSES.transfer, patches=5.0))
"""With VGG on eyes and mouth."""
VGG_LOSSES = replace(PATCH_LOSSES, perceptual=PerceptualLoss(weight=1.0, scales=2))
"""With VGG on whole images, too."""
DISCRIMINATOR = AdversarialLoss(
    weight=0.1, feature_matching=4.0, scales=1, widths=(32, 64, 128, 256)
)


def with_labels(losses: FaceLossConfig) -> FaceLossConfig:
    """The losses, and those of head pose, gaze and ARKit labels."""
    return replace(losses, pose=_POSE, gaze=_GAZE, arkit=_ARKIT)


JOINT_LOSSES = replace(
    with_labels(VGG_LOSSES),
    self_drive=SelfLoss(weight=0.5),
    contrast=ContrastLoss(weight=0.1),
    consistency=ConsistencyLoss(weight=0.5, start=0),
    cross_identity=CrossIdentityLoss(weight=0.5, start=0),
    adversarial=DISCRIMINATOR,
)
"""VASA-1's losses beside labels and transfers."""


def resized(config: Config, size: int) -> Config:
    """The config for images of `size` pixels."""
    return replace(config, face=replace(config.face, image_size=size))


def pose_stage(size: int, steps: int, batch: int, rate: float, base: Config = DEMO) -> Stage:
    """The pose encoder alone."""
    train = _train(DEMO.train_pose, steps, batch, rate)
    config = replace(resized(base, size), face_losses=POSE_LOSSES, train_pose=train)
    return Stage("pose", "pose", config)


def face_stage(
    name: str,
    trains: Trains,
    losses: FaceLossConfig,
    size: int,
    steps: int,
    batch: int,
    rate: float,
    base: Config = DEMO,
) -> Stage:
    """A stage whose section is `train_face`; with "generator" encoders are frozen and drivers given
    as ARKit codes."""
    frozen = trains == "generator"
    train = replace(
        _train(DEMO.train_face, steps, batch, rate),
        freeze_pose=frozen,
        freeze_dyn=frozen,
        arkit_code=frozen,
        encoded_source=trains != "dyn",
    )
    return Stage(name, trains, replace(resized(base, size), face_losses=losses, train_face=train))


def stages(scale: Scale, base: Config = DEMO) -> tuple[Stage, ...]:
    """The stages of the face model in order. base: the model, its precision and its mesh."""

    face = partial(face_stage, base=base)
    if scale == "cpu":
        return (
            pose_stage(128, 8_000, 32, 7e-4, base),
            face("reader", "dyn", DYN_LOSSES, 128, 13_000, 32, 6e-4),
            face("face64", "generator", GENERATOR_LOSSES, 64, 4_000, 4, 8e-4),
            face("face128", "generator", GENERATOR_LOSSES, 128, 8_000, 4, 5e-4),
            face("patches128", "generator", PATCH_LOSSES, 128, 1_000, 4, 3e-4),
        )
    return (
        pose_stage(256, 20_000, 256, 1e-3, base),
        face("reader", "dyn", DYN_LOSSES, 256, 30_000, 256, 1e-3),
        face("face64", "generator", GENERATOR_LOSSES, 64, 12_000, 128, 1e-3),
        face("face128", "generator", VGG_LOSSES, 128, 8_000, 64, 5e-4),
        face("face256", "generator", VGG_LOSSES, 256, 6_000, 32, 3e-4),
        face("joint", "all", JOINT_LOSSES, 256, 8_000, 16, 1e-4)._replace(views=True),
    )


def _train(section: Any, steps: int, batch: int, rate: float) -> Any:
    """A training section with another length, batch and learning rate."""
    return replace(
        section, steps=steps, batch=batch, learning_rate=rate, final_learning_rate=rate / 30
    )


class MotionStage(NamedTuple):
    """Stage 2."""

    config: Config
    people: int  # of the tracks; a tenth is held out, with voices of their own
    minutes: float  # of the tracks
    phoneme_steps: int  # of pretraining the mel encoder

    def shortened(self, steps: int, batch: int, people: int) -> "MotionStage":
        """The stage with fewer steps of smaller batches, on tracks of fewer people."""
        train = replace(self.config.train_motion, steps=steps, batch=batch)
        config = replace(self.config, train_motion=train)
        return MotionStage(config, people, people / 10, steps)


def motion_stage(scale: Scale, base: Config = DEMO) -> MotionStage:
    """Stage 2. base: as of `stages`."""
    if scale == "cpu":
        return MotionStage(replace(base, train_motion=DEMO.train_motion), 400, 240.0, 4_000)
    train = replace(DEMO.train_motion, steps=60_000, batch=128)
    return MotionStage(replace(base, train_motion=train), 1000, 600.0, 8_000)
