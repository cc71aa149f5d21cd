"""The sentences of synthetic speech: `sentences.tsv`, written for this project.

Written for this project, part by hand for the variety of sounds, part from templates; their
phonemes were made once by `transcribe`, so that speaking them needs no grapheme-to-phoneme tool.
"""

import functools
import importlib.resources
from typing import NamedTuple


class Text(NamedTuple):
    """A sentence, and Kokoro's letters for it in American and British English."""

    text: str
    american: str
    british: str


@functools.cache
def sentences() -> tuple[Text, ...]:
    """Every sentence, in the order of the file."""
    file = importlib.resources.files("vasa_jax.data_pipeline.synthetic") / "sentences.tsv"
    return tuple(Text(*line.split("\t")) for line in file.read_text("utf-8").splitlines())
