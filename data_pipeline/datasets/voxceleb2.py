"""The TFDS builder `voxceleb2`: clips that `vasa-jax prepare` cut from a copy of VoxCeleb2."""

from typing import Any

from vasa_jax.data_pipeline.datasets.builders import Card, builder_class

CARD = Card(
    name="voxceleb2",
    description="""\
VoxCeleb2 as talking heads for VASA-1: clips of one speaker at 25 frames a second, cut out by one
fixed square box per clip, with 16 kHz sound and machine-made labels of head pose, gaze, head
distance, emotion and face points. Splits share no speaker.""",
    homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox2.html",
    citation="""\
@inproceedings{chung2018voxceleb2,
  author    = {Joon Son Chung and Arsha Nagrani and Andrew Zisserman},
  title     = {{VoxCeleb2}: Deep Speaker Recognition},
  booktitle = {Interspeech},
  year      = {2018}
}""",
    license="The metadata of VoxCeleb2 are licensed CC BY-SA 4.0; the copyright of the videos "
    "stays with their owners. This dataset is made on the user's own machine and must not be "
    "passed on without a right to do so.",
)


def __getattr__(name: str) -> Any:
    if name == "VoxCeleb2":
        return builder_class(CARD, name, __name__)
    raise AttributeError(name)
