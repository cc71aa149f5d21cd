"""The lips of a dataset of `vasa-jax prepare` or `synth`, read by the face tracker and kept."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.datasets.read import open_dataset
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.data_pipeline.prepare.pool import run_jobs
from vasa_jax.errors import UserError
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.sync.clips import SPLITS, stored_mark, write_lip_clip
from vasa_jax.training.progress import Progress
from vasa_jax.typing import Float, PortraitArray

__all__ = ["extract_lips", "track_frames"]

EVERY = 100
"""Clips between two notes."""


class _Job(NamedTuple):
    split: str
    number: int
    out: Path
    mark: str  # of the record's contents


def track_frames(frames: Iterable[PortraitArray]) -> Float[np.ndarray, "t 478 3"]:
    """Landmarks of the followed face in each of a shot's frames, NaN where it is not seen."""
    tracker = FaceTracker()
    found = []
    for frame in frames:
        seen = tracker(frame).landmarks
        found.append(np.full((478, 3), np.nan, np.float32) if seen is None else seen)
    return np.stack(found)


def extract_lips(
    folder: Path, out: Path, progress: Progress | None = None, workers: int = 0
) -> Path:
    """Write `out`/SPLIT/ID.npz (`clips.LipClip`) of every clip of a dataset; returns `out`.

    What is there, of the same contents, is not read again. workers: processes; 0 works in this one.
    Raises UserError for a folder without a dataset, and for one that cannot be read.
    """
    dataset = open_dataset(folder)
    jobs = []
    for split in (name for name in SPLITS if name in dataset.splits):
        index = dataset.splits[split]
        for number, (name, mark) in enumerate(zip(index.ids, index.marks, strict=True)):
            path = out / split / f"{name}.npz"
            if stored_mark(path) != mark:
                jobs.append(_Job(split, number, path, mark))
    if jobs and progress is not None:
        progress.note(f"{folder}: reading the lips of {len(jobs)} clips, once, into {out}")
    for done, outcome in enumerate(run_jobs(_extract, jobs, workers, (dataset.folder,)), 1):
        if isinstance(outcome.error, UserError):
            raise outcome.error
        if outcome.error is not None:
            raise UserError(f"{jobs[outcome.number].out.stem}: {outcome.error}") from None
        if progress is not None and done % EVERY == 0:
            progress.note(f"{done} of {len(jobs)} clips")
    return out


def _extract(job: _Job, folder: Path) -> None:
    clip = _records(folder, job.split)[job.number]
    frames = (decode_rgb(content, clip.size) for content in clip.frames)
    write_lip_clip(job.out, track_frames(frames), clip.audio, job.mark)


@lru_cache(4)
def _records(folder: Path, split: str) -> Any:
    return open_dataset(folder).records(split)
