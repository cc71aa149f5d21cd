"""What the minutes of a lent accelerator are spent on, one part after another."""

from typing import Any, NamedTuple

from recipes.demo.config import (
    FEATURES,
    FROZEN,
    LABELS,
    PIXELS,
    POSE,
    SETTINGS,
    TRIES,
    config_with,
)
from vasa_jax.compile_cache import QUICK_COMPILE
from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.pairs import Augment

ADVERSARIAL = (
    "adversarial.weight=0.1",
    "adversarial.feature_matching=4",
    "adversarial.scales=1",
    "adversarial.widths=32,64,128,256",
    "adversarial.face_patches=true",
)
AUGMENT = Augment(own=0.25, views=(), tries=TRIES)
"""Of the generator's swaps, which come with exact codes."""


class Part(NamedTuple):
    """kind: "pose" or "dyn", that encoder alone, or "generator" on frozen encoders. share: of the
    seconds that are for training. size: of the generator's pictures, px. batch: examples a step.
    rate: AdamW's highest. steps: of one dispatch, about two seconds of the accelerator. losses: on
    top of SILENT."""

    name: str
    kind: str
    share: float
    size: int
    batch: int
    rate: float
    steps: int
    losses: tuple[str, ...]
    other: tuple[str, ...] = ()


class Scale(NamedTuple):
    """One size of the whole run. config, settings: of the model. picture: side of the pictures
    drawn, px; groups: most of them that are kept; held: of people who are measured on alone; swaps:
    chosen of each group; least: groups before training begins. precision: of the arithmetic.
    options: the compiler's."""

    config: str
    settings: tuple[str, ...]
    picture: int
    groups: int
    held: int
    swaps: int
    least: int
    precision: str
    parts: tuple[Part, ...]
    options: tuple[tuple[str, Any], ...] = ()


LEASE = Scale(
    "demo",
    SETTINGS,
    picture=256,
    groups=2000,
    held=8,
    swaps=12,
    least=32,
    precision="bf16",
    parts=(
        Part("pose", "pose", 0.10, 256, 256, 3e-4, 200, POSE),
        Part("dyn", "dyn", 0.14, 256, 256, 3e-4, 200, LABELS),
        Part("generator128", "generator", 0.32, 128, 64, 4e-4, 20, PIXELS + FEATURES, FROZEN),
        Part(
            "generator256",
            "generator",
            0.44,
            256,
            32,
            2e-4,
            20,
            PIXELS + FEATURES + ADVERSARIAL,
            FROZEN,
        ),
    ),
)
"""Nine minutes of one accelerator of 141 GB. Shares follow the figures that lag most."""

REHEARSAL = LEASE._replace(
    config="debug",
    settings=("face.extensions.dyn_crop=32", "face.dyn_dim=56"),
    picture=64,
    groups=24,
    held=2,
    swaps=4,
    least=2,
    precision="f32",
    options=tuple(QUICK_COMPILE.items()),
    parts=tuple(
        part._replace(size=size, batch=4, steps=2, losses=losses)
        for part, size, losses in zip(
            LEASE.parts,
            (64, 64, 32, 64),
            (POSE, LABELS, PIXELS, PIXELS + ADVERSARIAL[:2] + ADVERSARIAL[3:]),
            strict=True,
        )
    ),
)
"""The same run in minutes of two CPU cores, on the config that tests use."""


def config_of(scale: Scale, part: Part) -> Config:
    """The model's config with a part's losses and optimiser."""
    train = {
        "batch": part.batch,
        "learning_rate": part.rate,
        "warmup": 0,
        "schedule": "constant",
        "beta1": 0.9,
        "weight_decay": 1e-4,
        "clip": 5.0,
        "ema": 0.998,
        "flat": "true",
    }
    if part.kind == "generator":
        train["scan_decodes"] = "true"
    stage = "pose" if part.kind == "pose" else "face"
    settings = (*scale.settings, f"precision={scale.precision}")
    return config_with(scale.config, settings, part.size, part.losses, stage, train, part.other)
