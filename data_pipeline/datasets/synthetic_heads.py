"""The TFDS builder `synthetic_heads`: talking heads of `vasa-jax synth` with exact truth."""

from typing import Any

from vasa_jax.data_pipeline.datasets.builders import CLIPS, SWAPS, Card, builder_class

CARD = Card(
    name="synthetic_heads",
    description="""\
Rendered talking heads with exact labels: head pose, gaze, distance, emotion offset, ARKit
coefficients, face points and the phoneme of every frame. Config `clips` holds clips with sound;
config `swaps` holds groups of pictures of every identity in every pose with every expression: true
targets for transfers between heads, of pose alone and of dynamics alone.""",
    homepage="",
    citation="",
    license="CC0 1.0 for pictures of the CC0 base mesh with procedural textures or MakeHuman's CC0 "
    "assets; the sound has the licence of its voice model or of the speech that was given.",
    kinds=(CLIPS, SWAPS),
)


def __getattr__(name: str) -> Any:
    if name == "SyntheticHeads":
        return builder_class(CARD, name, __name__)
    raise AttributeError(name)
