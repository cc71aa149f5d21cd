"""The TFDS builder `video_folder`: clips that `vasa-jax prepare` cut from a folder of videos."""

from typing import Any

from vasa_jax.data_pipeline.datasets.builders import Card, builder_class

CARD = Card(
    name="video_folder",
    description="""\
Talking heads out of a folder of videos: clips of one person at 25 frames a second, cut out by one
fixed square box per clip, with 16 kHz sound and machine-made labels of head pose, gaze, head
distance, emotion and face points. Splits share no person (as far as the folders name them).""",
    homepage="",
    citation="",
    license="That of the videos; this dataset adds no right to them.",
)


def __getattr__(name: str) -> Any:
    if name == "VideoFolder":
        return builder_class(CARD, name, __name__)
    raise AttributeError(name)
