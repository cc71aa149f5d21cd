"""What a worker process does: read a block of records, then turn examples into arrays."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.datasets.builders import CLIPS, SWAPS
from vasa_jax.data_pipeline.datasets.features import swap_from_example
from vasa_jax.data_pipeline.loading import heads, pairs, quads
from vasa_jax.data_pipeline.loading.heads import Heads
from vasa_jax.data_pipeline.loading.pairs import Augment
from vasa_jax.data_pipeline.loading.plan import Plan
from vasa_jax.errors import UserError


class Form(NamedTuple):
    """What becomes of a record: kind, of the datasets; raw(record, people, rng, how), what is taken
    out of it for one example; make(raw, size, how, rng, masks), the example's arrays by name.
    people: a clip's person by number, or the numbers of all people by name for swaps."""

    kind: str
    raw: Callable[..., Any]
    make: Callable[..., dict[str, np.ndarray]]


FORMS = {
    "pair": Form(CLIPS, pairs.raw_pair, pairs.make_pair),
    "head": Form(CLIPS, heads.raw_head, heads.make_head),
    "quad": Form(SWAPS, quads.raw_quad, quads.make_quad),
}


class Example(NamedTuple):
    """An example that was read and not yet decoded, and the generator that goes on with it."""

    name: str
    raw: Any
    rng: np.random.Generator


class Recipe:
    """records: this host's, by their number in the split; ids and people: their names and whom they
    show. codes: the number of every person. form: of `FORMS`. size: of the pictures that are made,
    out of those of `stored` pixels. Picklable; a process opens the files when it first reads.
    """

    def __init__(
        self,
        folder: Path,
        form: str,
        split: str,
        *,
        records: list[int],
        ids: list[str],
        people: list[tuple[str, ...]],
        codes: Mapping[str, int],
        plan: Plan,
        size: int,
        stored: int,
        how: Augment | Heads,
        masks: bool,
    ):
        self._folder, self._form, self._split = folder, FORMS[form], split
        self._records, self._ids, self._people = records, ids, people
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
            record = source[self._records[number]]
            if self._form.kind == CLIPS:
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
        local = self._plan.records(block)
        found = {}
        for visit, draws in wanted.items():
            number = int(local[visit])
            record = self._record(number)
            for draw in draws:
                rng = self._plan.rng(block, visit, draw)
                clips = self._form.kind == CLIPS
                people = self._codes[self._people[number][0]] if clips else self._codes
                raw = self._form.raw(record, people, rng, self._how)
                found[visit, draw] = Example(self._ids[number], raw, rng)
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
        given = (example.raw, self._size, self._how, example.rng, self._masks)
        try:
            return self._form.make(*given, stored=self._stored)
        except UserError as error:
            raise UserError(
                f"{self._folder}: record {example.name!r}: {error}; make the dataset anew"
            ) from None
