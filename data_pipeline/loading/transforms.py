"""What a worker process does: read a block of records, then make arrays of their examples."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.datasets.builders import CLIPS, SWAPS
from vasa_jax.data_pipeline.datasets.features import swap_from_example
from vasa_jax.data_pipeline.loading import pairs, pose_examples, transfer_examples
from vasa_jax.data_pipeline.loading.pairs import Augment
from vasa_jax.data_pipeline.loading.pose_examples import PoseImageOptions
from vasa_jax.data_pipeline.loading.record_order import RecordOrder
from vasa_jax.errors import UserError


class ExampleKind(NamedTuple):
    """How records of one kind of dataset become examples.

    The person of `sample` is a number for clips, and numbers by name for groups of swaps.
    """

    records: str  # the kind of dataset, of `datasets.builders`
    sample: Callable[..., Any]  # (record, person, rng, options) -> an encoded example
    make: Callable[..., dict[str, np.ndarray]]  # (encoded, size, options, rng, masks, stored=...)


KINDS = {
    "pair": ExampleKind(CLIPS, pairs.sample_pair, pairs.make_pair),
    "pose": ExampleKind(CLIPS, pose_examples.sample_frame, pose_examples.make_pose_example),
    "transfer": ExampleKind(
        SWAPS, transfer_examples.sample_transfer, transfer_examples.make_transfer
    ),
}


class Example(NamedTuple):
    """An example that was read and not decoded yet."""

    name: str  # of its record
    encoded: Any
    rng: np.random.Generator  # continues in `make`


class ExampleTransform:
    """Reads examples of a split and makes batches of them.

    Picklable; a process opens the files when it first reads.

    ids, people: of the split's records, their names and whom they show.
    codes: a number for every person. size: of the images made, out of those of `stored` pixels.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        split: str,
        *,
        ids: list[str],
        people: list[tuple[str, ...]],
        codes: Mapping[str, int],
        plan: RecordOrder,
        size: int,
        stored: int,
        how: Augment | PoseImageOptions,
        masks: bool,
    ):
        self._folder, self._kind, self._split = folder, KINDS[kind], split
        self._ids, self._people = ids, people
        self._codes, self._plan = dict(codes), plan
        self._size, self._stored, self._how, self._masks = size, stored, how, masks

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_source"}

    @cached_property
    def _source(self) -> Any:
        import tensorflow_datasets as tfds

        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        builder = tfds.builder_from_directory(self._folder)
        return builder.as_data_source(self._split, deserialize_method=raw), builder.info.features

    def _record(self, number: int) -> Any:
        """A clip's record by feature, as `pairs` reads it; or a group of swaps."""
        source, features = self._source
        try:
            record = source[number]
            if self._kind.records == CLIPS:
                return pairs.read_record(record)
            return swap_from_example(features.deserialize_example_np(record))
        except Exception as error:  # array_record, protobuf and TFDS each have their own
            raise UserError(
                f"{self._folder}: record {self._ids[number]!r} cannot be read "
                f"({error}); make the dataset anew"
            ) from None

    def read(self, block: int) -> list[list[Example]]:
        """The batches of a block. Each record is read once for all of its examples."""
        batches = self._plan.batches(block)
        wanted: dict[int, list[int]] = {}
        for batch in batches:
            for visit, draw in batch:
                wanted.setdefault(visit, []).append(draw)
        records = self._plan.records(block)
        found = {}
        for visit, draws in wanted.items():
            number = int(records[visit])
            record = self._record(number)
            for draw in draws:
                rng = self._plan.rng(block, visit, draw)
                clips = self._kind.records == CLIPS
                people = self._codes[self._people[number][0]] if clips else self._codes
                encoded = self._kind.sample(record, people, rng, self._how)
                found[visit, draw] = Example(self._ids[number], encoded, rng)
        return [[found[place] for place in batch] for batch in batches]

    def make(self, examples: list[Example]) -> dict[str, np.ndarray]:
        """A batch by field names; a label that an example lacks is zero and `has_LABEL` 0."""
        rows = [self._one(example) for example in examples]
        names = {name: row[name] for row in rows for name in row}
        batch = {
            name: np.stack([row.get(name, np.zeros_like(some)) for row in rows])
            for name, some in names.items()
        }
        for name in ("rotation", "gaze"):
            known = [not row.keys().isdisjoint((name, f"source_{name}")) for row in rows]
            batch[f"has_{name}"] = np.array(known, np.float32)
        return batch

    def _one(self, example):
        given = (example.encoded, self._size, self._how, example.rng, self._masks)
        try:
            return self._kind.make(*given, stored=self._stored)
        except UserError as error:
            raise UserError(
                f"{self._folder}: record {example.name!r}: {error}; make the dataset anew"
            ) from None
