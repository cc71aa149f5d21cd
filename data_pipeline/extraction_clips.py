"""The clips of a dataset as `vasa-jax extract-motion` takes them: frames, sound and labels."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline.clip import Clip
from vasa_jax.data_pipeline.datasets.read import Dataset, maker_of
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb, shrink
from vasa_jax.data_pipeline.loading.sizes import check_size
from vasa_jax.errors import UserError
from vasa_jax.typing import Float, Frames


class Prepared(NamedTuple):
    """A clip of a dataset."""

    split: str
    mark: Any  # changes with the content and with the distance that labels are divided by
    # Batches of frames, samples in [-1, 1], labels by stage 2's names.
    open: Callable[[], tuple[Iterator[Frames], Float[np.ndarray, " n"], dict[str, np.ndarray]]]


def prepared_clips(dataset: Dataset, config: Config, batch: int) -> dict[str, Prepared]:
    """Every clip of a dataset by its name, its pictures shrunk to the config's size where they are
    larger. batch: frames at a time.

    Distances are divided by the mean over the clips of the train split, so that 1 is the data's
    mean. Raises UserError for pictures that are smaller than the config's, and for names that would
    leave the output folder.
    """
    check_size(dataset.folder, dataset.size, config, maker_of(dataset))
    size = config.face.image_size
    mean = mean_distance(dataset)
    found = {}
    for split, index in dataset.splits.items():
        records = dataset.records(split)
        for number, (name, mark) in enumerate(zip(index.ids, index.marks, strict=True)):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise UserError(f"{dataset.folder}: the clip name {name!r} is no relative path")
            found[name] = Prepared(split, [mark, mean], _opener(records, number, size, batch, mean))
    return found


def mean_distance(dataset: Dataset) -> float:
    """The mean distance of the train split's clips (of all, if there is no such split); 1 where
    none is known."""
    splits = dataset.splits
    chosen = [splits["train"]] if "train" in splits else list(splits.values())
    known = [d for index in chosen for d in index.distance if d is not None]
    return float(np.mean(known)) if known else 1.0


def stage_two_labels(clip: Clip, mean: float) -> dict[str, np.ndarray]:
    """gaze (2,), radians; distance (), over `mean`; emotion (8,): those that the clip has."""
    labels = {}
    if clip.main_gaze is not None:
        labels["gaze"] = clip.main_gaze
    if clip.distance is not None:
        labels["distance"] = np.asarray(clip.distance / mean, np.float32)
    if clip.emotion is not None:
        labels["emotion"] = clip.emotion
    return labels


def _opener(records, number, size, batch, mean):
    def opened():
        clip = records[number]
        waveform = clip.audio.astype(np.float32) / 32767
        return _decoded(clip, size, batch), waveform, stage_two_labels(clip, mean)

    return opened


def _decoded(clip: Clip, size: int, batch: int) -> Iterator[Frames]:
    for start in range(0, len(clip.frames), batch):
        part = clip.frames[start : start + batch]
        yield np.stack([shrink(decode_rgb(frame, clip.size), size) for frame in part])
