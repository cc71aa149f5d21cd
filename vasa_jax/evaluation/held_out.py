"""Held-out clips and groups of swaps of an evaluation, from a dataset or from files."""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.clip import Clip, read_clip
from vasa_jax.data_pipeline.datasets.builders import CLIPS
from vasa_jax.data_pipeline.datasets.read import find_dataset, open_dataset
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.data_pipeline.phonemes import PHONEMES
from vasa_jax.data_pipeline.swaps import SwapGroup, read_group
from vasa_jax.errors import UserError
from vasa_jax.evaluation.types import EvalClip, Swaps

HELD_OUT = ("test", "val")


class Records(NamedTuple):
    """Clips, or groups of swaps, that are read one at a time."""

    names: tuple[str, ...]
    people: tuple[str, ...]
    read: Callable[[int], Any]
    what: str  # their origin in words, for the report


def find_records(folder: Path, kind: str, split: str | None) -> Records | None:
    """Clips or groups of swaps (`kind`: CLIPS or SWAPS) in `folder`; None where there are none.

    From the TFDS dataset in it, its split `split` or the first of `HELD_OUT` with records; without
    a dataset, from all files clips/*.npz or swaps/*.npz below it. Raises UserError for a missing
    folder or split, and for a dataset without held-out records.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; give that of a dataset from `vasa-jax prepare` "
            "or `vasa-jax synth`"
        )
    if find_dataset(folder, kind) is not None:
        return _from_dataset(folder, kind, split)
    files = sorted((folder / kind).rglob("*.npz"))
    if not files:
        return None
    if split is not None:
        raise UserError(f"{folder}: has no dataset, so no splits; leave --split out")
    field, read = ("identity", read_clip) if kind == CLIPS else ("group_id", read_group)
    people = tuple(_member(file, field) for file in files)
    names = tuple(file.stem for file in files)
    return Records(names, people, lambda n: read(files[n]), f"{len(files)} files in {kind}")


def _from_dataset(folder: Path, kind: str, split: str | None) -> Records | None:
    dataset = open_dataset(folder, kind)
    sizes = {name: len(index.ids) for name, index in dataset.splits.items()}
    if split is not None and split not in sizes:
        raise UserError(f"{folder}: has no split {split!r} (it has {', '.join(sizes)})")
    chosen = split or next((name for name in HELD_OUT if sizes.get(name)), None)
    if chosen is None:
        raise UserError(
            f"{dataset.folder}: holds no held-out records (splits: {sizes}); make them "
            "with --test-share, or name a split with --split"
        )
    # No path: the report may be published.
    place = f"{dataset.name} {dataset.folder.name}"
    index, records = dataset.splits[chosen], dataset.records(chosen)
    people = tuple("+".join(names) for names in index.identity)
    return Records(index.ids, people, records.__getitem__, f"{place}, split {chosen}")


def _member(file: Path, field: str) -> str:
    try:
        with np.load(file, allow_pickle=False) as stored:
            return str(stored[field])
    except Exception as error:  # zipfile, zlib and numpy raise different ones
        raise UserError(f"{file}: is not a readable record ({error}); make it anew") from None


def choose(people: Sequence[str], limit: int) -> list[int]:
    """Indices of up to `limit` records, round-robin over the people."""
    rows: dict[str, list[int]] = {}
    for number, who in enumerate(people):
        rows.setdefault(who, []).append(number)
    turns = zip_longest(*rows.values())
    return [n for turn in turns for n in turn if n is not None][:limit]


def to_eval_clip(clip: Clip) -> EvalClip:
    """An EvalClip of a labelled clip; frames are decoded on access."""
    phonemes = clip.phonemes
    return EvalClip(
        name=clip.clip_id,
        identity=clip.identity,
        num_frames=len(clip.frames),
        decode_frames=lambda numbers: np.stack(
            [decode_rgb(clip.frames[n], clip.size) for n in numbers]
        ),
        waveform=(clip.audio / 32768).astype(np.float32),
        rotation=clip.rotation,
        log_scale=None if clip.log_scale is None else clip.log_scale[:, 0],
        gaze=clip.gaze,
        phonemes=None
        if phonemes is None
        else tuple(PHONEMES[n] if n >= 0 else "" for n in phonemes),
    )


def to_swaps(group: SwapGroup) -> Swaps:
    """Decode a group of swaps."""
    images = np.stack([decode_rgb(image, group.size) for image in group.images])
    return Swaps(group.group_id, group.identity, images.reshape(*group.counts(), *images.shape[1:]))


def read_swaps(records: Records, limit: int) -> Iterator[Swaps]:
    """The first `limit` groups, read lazily."""
    return (to_swaps(records.read(n)) for n in range(min(limit, len(records.names))))
