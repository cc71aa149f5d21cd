"""The common base of the three TFDS builders.

Shards are written one after the other (tfds.core.ShardBasedBuilder): the shuffler of
tfds.core.GeneratorBasedBuilder needs TensorFlow as soon as a split is larger than 1 GB. The order
of the records is the loader's business.

Classes are made when they are first asked for, so that modules import without TFDS.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from vasa_jax.data_pipeline.clip import read_clip
from vasa_jax.data_pipeline.datasets import features
from vasa_jax.data_pipeline.swaps import read_group

VERSION = "1.0.0"
SHARD_BYTES = 256 * 2**20
"""A shard is held in memory while it is written."""
CLIPS, SWAPS = "clips", "swaps"
NAMES = ("voxceleb2", "video_folder", "synthetic_heads")


class Card(NamedTuple):
    """Description of a TFDS builder."""

    name: str
    description: str
    homepage: str
    citation: str
    license: str
    # Records that it can hold: `CLIPS`, `SWAPS` or both, which are TFDS configs then.
    kinds: tuple[str, ...] = (CLIPS,)


def generate(kind: str, advance: Callable[[int], None] | None, files: Sequence[Path]) -> Iterator:
    """(key, example) of every file of a shard."""
    for file in files:
        if kind == CLIPS:
            clip = read_clip(file)
            yield clip.clip_id, features.clip_to_example(clip)
        else:
            group = read_group(file)
            yield group.group_id, features.swap_to_example(group)
        if advance is not None:
            advance(1)


def split_shards(files: Sequence[Path], limit: int) -> list[list[Path]]:
    """The files in their order, cut into shards of about `limit` bytes at most."""
    shards: list[list[Path]] = []
    room = 0
    for file in files:
        size = file.stat().st_size
        if not shards or size > room:
            shards.append([])
            room = limit
        shards[-1].append(file)
        room -= size
    return shards


@cache
def _base() -> type:
    import tensorflow_datasets as tfds

    class LocalInfo(tfds.core.DatasetInfo):
        def initialize_from_bucket(self) -> None:
            """These datasets lie in no bucket: no request goes to the network."""

    # TFDS has no types, so that mypy knows no keywords of its base class.
    class RecordBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        """files: the files of each split in the order of their records. index: see `read`.
        note: joins the description. advance: called with 1 after every record."""

        VERSION = tfds.core.Version(VERSION)
        CARD: Card

        def __init__(
            self,
            *,
            files: Mapping[str, Sequence[Path]] | None = None,
            index: Mapping[str, Any] | None = None,
            note: str = "",
            advance: Callable[[int], None] | None = None,
            **options: Any,
        ):
            self._files, self._index = dict(files or {}), dict(index or {})
            self._note, self._advance = note, advance
            super().__init__(**options)

        @property
        def kind(self) -> str:
            return self.CARD.kinds[0] if self.builder_config is None else self.builder_config.name

        def _info(self) -> Any:
            card = self.CARD
            made = features.clip_features if self.kind == CLIPS else features.swap_features
            return LocalInfo(
                builder=self,
                description="\n\n".join(t for t in (card.description, self._note) if t),
                features=made(),
                homepage=card.homepage,
                citation=card.citation,
                license=card.license,
                disable_shuffling=True,
                metadata=tfds.core.MetadataDict(self._index),
            )

        def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list[Callable]]:
            del dl_manager  # `vasa-jax prepare` and `synth` make the files; nothing is downloaded
            make = partial(generate, self.kind, self._advance)
            return {
                split: [partial(make, shard) for shard in split_shards(files, SHARD_BYTES)]
                for split, files in self._files.items()
                if files
            }

    return RecordBuilder


@cache
def builder_class(card: Card, class_name: str, module: str) -> type:
    """The tfds builder of a card, as the attribute `class_name` of a module."""
    import tensorflow_datasets as tfds

    body: dict[str, Any] = {
        "CARD": card,
        "name": card.name,
        "__module__": module,
        "__qualname__": class_name,
        "__doc__": card.description,
    }
    if len(card.kinds) > 1:
        body["BUILDER_CONFIGS"] = [tfds.core.BuilderConfig(name=kind) for kind in card.kinds]
    return type(_base())(class_name, (_base(),), body)
