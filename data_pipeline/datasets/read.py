"""Reading of the TFDS datasets: index, and records by number."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vasa_jax.data_pipeline.clip import Clip
from vasa_jax.data_pipeline.datasets import features
from vasa_jax.data_pipeline.datasets.builders import CLIPS, NAMES, SWAPS
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.errors import UserError, require_modules

INFO_NAME = "dataset_info.json"
VERSIONS = "[0-9]*.[0-9]*.[0-9]*"


class Index(NamedTuple):
    """Index of a split: facts of its records in order, without reading them."""

    ids: tuple[str, ...]  # of the clips or groups
    identity: tuple[tuple[str, ...], ...]  # the people in each (one in a clip)
    frames: tuple[Any, ...]  # of a clip; of a group its three counts
    distance: tuple[float | None, ...]  # of a clip, None where unknown
    has: dict[str, int]  # by field, the number of records that have it
    marks: tuple[str, ...]  # digests of the contents


class Dataset(NamedTuple):
    """An opened dataset."""

    folder: Path
    name: str
    kind: str  # "clips" or "swaps"
    size: int  # of its pictures
    splits: dict[str, Index]  # by name

    def source(self, split: str) -> Any:
        """The records of a split as bytes, by number; safe to read in many processes."""
        return _builder(self.folder).as_data_source(split, deserialize_method=_raw())

    def records(self, split: str) -> Any:
        """The records of a split, decoded to `Clip` or `SwapGroup` one by one, by number."""
        return _Records(_builder(self.folder).as_data_source(split), self.kind)


class _Records:
    def __init__(self, source, kind):
        self._source, self._make = source, _MAKE[kind]

    def __len__(self):
        return len(self._source)

    def __getitem__(self, number) -> Clip | SwapGroup:
        return self._make(self._source[number])


_MAKE = {CLIPS: features.clip_from_example, SWAPS: features.swap_from_example}


def find_dataset(folder: Path, kind: str = CLIPS) -> Path | None:
    """The folder of the TFDS dataset of this kind at or below `folder`; None if there is none.

    Raises UserError when there are several.
    """
    # Not a search of everything below: videos or clips may lie there by the million.
    names = ["", VERSIONS, f"{kind}/{VERSIONS}"]
    names += [f"{name}/{rest}" for name in NAMES for rest in names[1:]]
    found = [
        info.parent
        for name in names
        for info in sorted(Path(folder).glob(f"{name}/{INFO_NAME}".lstrip("/")))
    ]
    fitting = [path for path in found if _metadata(path).get("kind") == kind]
    if len(fitting) > 1:
        raise UserError(
            f"{folder}: holds {len(fitting)} datasets ({fitting[0]}, {fitting[1]}); "
            "give the folder of one"
        )
    return fitting[0] if fitting else None


def open_dataset(folder: Path, kind: str = CLIPS) -> Dataset:
    """The dataset of a kind at or below `folder`.

    Raises UserError when there is none, it cannot be read, or TFDS is not installed.
    """
    if not Path(folder).is_dir():
        raise UserError(
            f"{folder}: no such folder; give that of a dataset from `vasa-jax prepare` "
            "or `vasa-jax synth`"
        )
    place = find_dataset(folder, kind)
    if place is None:
        raise UserError(
            f"{folder}: holds no dataset of {kind}; make one by `vasa-jax prepare` or "
            "`vasa-jax synth`"
        )
    require_modules("tensorflow_datasets")
    table = _metadata(place)
    try:
        splits = {
            split: Index(
                tuple(rows["id"]),
                tuple(tuple(people) for people in rows["identity"]),
                tuple(rows["frames"]),
                tuple(rows["distance"]),
                dict(rows["has"]),
                tuple(rows["mark"]),
            )
            for split, rows in table["splits"].items()
        }
        info = _builder(place).info
        for split, index in splits.items():
            if info.splits[split].num_examples != len(index.ids):
                raise ValueError(f"split {split} has another number of records than its index")
        return Dataset(place, info.name, table["kind"], int(table["size"]), splits)
    except Exception as error:  # TFDS has many of its own
        raise UserError(f"{place}: is not a readable dataset ({error}); make it anew") from None


def maker_of(dataset: Dataset) -> str:
    """The command that makes such datasets."""
    return "synth" if dataset.name == "synthetic_heads" else "prepare"


def _builder(folder: Path) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)


def _raw() -> Any:
    import tensorflow_datasets as tfds

    return tfds.decode.DeserializeMethod.RAW_BYTES


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "metadata.json").read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
