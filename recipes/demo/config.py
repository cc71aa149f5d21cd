"""What the training of the demo weights consists of: stages, losses, sizes, lengths."""

from typing import NamedTuple

# Every loss off but what a stage names.
SILENT = (
    "pixel.weight=0",
    "perceptual.weight=0",
    "self_drive.weight=0",
    "face_features.weight=0",
    "eyes.weight=0",
    "mouth.weight=0",
    "adversarial.weight=0",
    "adversarial.feature_matching=0",
    "contrast.weight=0",
    "consistency.weight=0",
    "cross_identity.weight=0",
    "pose.weight=0",
    "masked=false",
)
# Each by how far it moves pixels: a degree of turn, 1/128 of translation and 2 % of scale alike.
POSE = ("pose.weight=2", "pose.translation=2", "pose.log_scale=0.5")
LABELS = ("arkit.weight=1", "gaze.weight=1")
# The exact renders, the mouth and the eyes counted five times, the mouth of the picture six.
PIXELS = (
    "pixel.weight=1",
    "eyes.weight=2",
    "mouth.weight=6",
    "eyes.perceptual=0",
    "mouth.perceptual=0",
    "exact.weight=1",
    "exact.perceptual=0",
    "exact.regions=5",
    "exact.moved=4",
    "exact.drawn=1",
    "exact.choice=0.5",
    "exact.flow=10",
    "exact.flow_regions=2",
    "exact.shares=0.4",
    "exact.person=0.2",
    "exact.codes=true",
    "exact.encoded_source=true",
)
PATCHES = ("exact.patches=5",)
FEATURES = ("perceptual.weight=1", "perceptual.scales=2", *PATCHES)
TRIES = 2
"""Pairs of expressions of which a swap takes the one whose lips differ more (`Augment.tries`)."""
EVERYTHING = (
    "exact.codes=false",
    "self_drive.weight=0.5",
    "contrast.weight=0.1",
    "consistency.weight=0.5",
    "consistency.start=0",
    "cross_identity.weight=0.5",
    "cross_identity.start=0",
    "adversarial.weight=0.1",
    "adversarial.feature_matching=4",
    "adversarial.scales=1",
    "adversarial.widths=32,64,128,256",
)
FROZEN = ("train_face.freeze_pose=true", "train_face.freeze_dyn=true")
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
    "mouth",
    "mouth_finder",
)

CONFIG = "demo"
MAPS = "maps.npz"
"""Beside the corpus: what each ARKit coefficient moves."""
SETTINGS: tuple[str, ...] = ()
"""Overrides of the config in every stage and in the weights."""


class Corpus(NamedTuple):
    """people: a tenth of them is held out. groups: of swaps among them. few: more groups, of PEOPLE
    heads in one skin in four pictures each, with hardly anyone twice, for training alone: what
    encoders lack first is people, and painting skins takes longest.
    size: side of the pictures, pixels."""

    people: int
    groups: int
    few: int
    size: int


PEOPLE = 6
"""Heads in one skin, of a group that is one of `few`."""
CORPUS = {"cpu": Corpus(330, 600, 1_000, 256), "gpu": Corpus(1000, 2000, 5_000, 256)}
DRY_CORPUS = Corpus(40, 24, 3, 256)
"""Of a dry run: the fewest people of whom some are held out."""


class Stage(NamedTuple):
    """One part of stage 1. size: of the pictures, px; rate: AdamW's; losses: on top of SILENT.
    plain: whether pictures come as they are, but for flips and mild colours. alone: "pose" or
    "dyn", that encoder without the rest of the face model, on pictures of the size that it sees.
    parts: of the face model that it trains and hands on, all if empty. own: share whose motion is
    read from the source's own person."""

    name: str
    size: int
    steps: int
    batch: int
    rate: float
    losses: tuple[str, ...]
    other: tuple[str, ...] = ()
    plain: bool = True
    alone: str = ""
    parts: tuple[str, ...] = ()
    own: float = 0.25


STAGES = {
    "cpu": (
        Stage("pose", 128, 8_000, 32, 7e-4, POSE, alone="pose", parts=("pose",)),
        Stage("reader", 128, 13_000, 32, 6e-4, LABELS, alone="dyn", parts=("dyn",)),
        Stage("face64", 64, 4_000, 4, 8e-4, PIXELS, FROZEN, parts=GENERATOR),
        Stage("face128", 128, 8_000, 4, 5e-4, PIXELS, FROZEN, parts=GENERATOR),
        Stage("patches128", 128, 1_000, 4, 3e-4, PIXELS + PATCHES, FROZEN, parts=GENERATOR),
    ),
    "gpu": (
        Stage("pose", 256, 20_000, 256, 1e-3, POSE, alone="pose", parts=("pose",)),
        Stage("reader", 256, 30_000, 256, 1e-3, LABELS, alone="dyn", parts=("dyn",)),
        Stage("face64", 64, 12_000, 128, 1e-3, PIXELS, FROZEN, parts=GENERATOR),
        Stage("face128", 128, 8_000, 64, 5e-4, PIXELS + FEATURES, FROZEN, parts=GENERATOR),
        Stage("face256", 256, 6_000, 32, 3e-4, PIXELS + FEATURES, FROZEN, parts=GENERATOR),
        Stage(
            "joint",
            256,
            8_000,
            16,
            1e-4,
            POSE + LABELS + PIXELS + FEATURES + EVERYTHING,
            plain=False,
        ),
    ),
}


def config_with(name, settings, size, losses, part, train, other):
    """A config with losses on top of SILENT and an optimiser. settings, other: overrides before and
    after; size: of the pictures, px; part: whose section of training `train` fills."""
    from vasa_jax.config import get_config

    return get_config(
        name,
        [
            *settings,
            f"face.image_size={size}",
            *(f"face_losses.{loss}" for loss in SILENT + losses),
            *(f"train_{part}.{key}={value}" for key, value in train.items()),
            *other,
        ],
    )


def config_of(stage: Stage):
    """The demo config with the stage's losses and optimiser."""
    train = {
        "steps": stage.steps,
        "batch": stage.batch,
        "learning_rate": stage.rate,
        "final_learning_rate": stage.rate / 30,
        "warmup": 200,
        "beta1": 0.9,
        "weight_decay": 1e-4,
        "clip": 5.0,
        "ema": 0.998,
        "log_every": 25,
        "sample_every": 500,
        "save_every": 500,
        "keep": 1,
    }
    part = "pose" if stage.alone == "pose" else "face"
    return config_with(CONFIG, SETTINGS, stage.size, stage.losses, part, train, stage.other)
