"""What `vasa-jax evaluate` is given: clips and swaps out of folders, and networks that look."""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vasa_jax import zoo
from vasa_jax.data_pipeline.clip import Clip, read_clip
from vasa_jax.data_pipeline.datasets.builders import CLIPS, SWAPS
from vasa_jax.data_pipeline.datasets.read import find_dataset, open_dataset
from vasa_jax.data_pipeline.loading.pictures import decode_rgb
from vasa_jax.data_pipeline.phonemes import PHONEMES
from vasa_jax.data_pipeline.prepare.labels import NUMBERS, Labellers
from vasa_jax.data_pipeline.swaps import SwapGroup, read_group
from vasa_jax.errors import UserError
from vasa_jax.evaluation.i3d import video_features
from vasa_jax.evaluation.structs import EvalClip, Readings, Swaps
from vasa_jax.perception import lpips
from vasa_jax.perception.batches import in_batches, to_float
from vasa_jax.perception.face_detector import EYE_CORNERS
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.perception.identity import identity_vectors
from vasa_jax.typing import EMOTIONS, Float, Frames

HELD_OUT = ("test", "val")
INNER_LIPS = (13, 14)
"""The middle of the upper and of the lower lip's inner edge in the mesh."""
SEARCH_EVERY = 12


class Found(NamedTuple):
    """Records of a kind: how many, and a function that reads one. what: the place, in words."""

    names: tuple[str, ...]
    people: tuple[str, ...]
    read: Callable[[int], Any]
    what: str


def find_records(folder: Path, kind: str, split: str | None) -> Found | None:
    """The clips or groups of swaps at `folder`; None where there are none.

    The dataset (TFDS) that lies there, its split `split` (else the first of `HELD_OUT` that has
    records); without a dataset, all files `clips`/*.npz or `swaps`/*.npz below the folder.
    Raises UserError for a missing folder, a split that is not there, and a dataset of training data
    alone.
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
    return Found(names, people, lambda n: read(files[n]), f"{len(files)} files in {kind}")


def _from_dataset(folder: Path, kind: str, split: str | None) -> Found | None:
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
    # A report may be published: it tells no folders of the machine.
    place = f"{dataset.name} {dataset.folder.name}"
    index, records = dataset.splits[chosen], dataset.records(chosen)
    people = tuple("+".join(names) for names in index.identity)
    return Found(index.ids, people, records.__getitem__, f"{place}, split {chosen}")


def _member(file: Path, field: str) -> str:
    try:
        with np.load(file, allow_pickle=False) as stored:
            return str(stored[field])
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise UserError(f"{file}: is not a readable record ({error}); make it anew") from None


def choose(people: Sequence[str], limit: int) -> list[int]:
    """Up to `limit` records, of as many people as there are: a first of each, then a second."""
    rows: dict[str, list[int]] = {}
    for number, who in enumerate(people):
        rows.setdefault(who, []).append(number)
    turns = zip_longest(*rows.values())
    return [n for turn in turns for n in turn if n is not None][:limit]


def to_eval_clip(clip: Clip) -> EvalClip:
    """The plain struct of a labelled clip; its pictures stay JPEG bytes until asked for."""
    spoken = clip.phonemes
    return EvalClip(
        name=clip.clip_id,
        identity=clip.identity,
        count=len(clip.frames),
        pictures=lambda numbers: np.stack([decode_rgb(clip.frames[n], clip.size) for n in numbers]),
        waveform=(clip.audio / 32768).astype(np.float32),
        rotation=clip.rotation,
        log_scale=None if clip.log_scale is None else clip.log_scale[:, 0],
        gaze=clip.gaze,
        phonemes=None if spoken is None else tuple(PHONEMES[n] if n >= 0 else "" for n in spoken),
    )


def to_swaps(group: SwapGroup) -> Swaps:
    """The plain struct of a group of swaps."""
    pictures = np.stack([decode_rgb(picture, group.size) for picture in group.images])
    return Swaps(
        group.group_id, group.identity, pictures.reshape(*group.counts(), *pictures.shape[1:])
    )


def swaps_of(found: Found, limit: int) -> Iterator[Swaps]:
    """The first `limit` groups, one at a time."""
    return (to_swaps(found.read(n)) for n in range(min(limit, len(found.names))))


class MeshReader:
    """Reads pictures by the labellers of `prepare`, on the landmarks of the face detector."""

    def __init__(self, labellers: Labellers):
        self._labellers = labellers
        labellers.load(NUMBERS)

    def __call__(self, frames: Frames, video: bool) -> Readings:
        """See `vasa_jax.evaluation.structs.Readings`; expression is the ARKit coefficients."""
        tracker = FaceTracker(SEARCH_EVERY if video else 1)
        seen = [tracker(frame).landmarks for frame in frames]
        known = np.array([marks is not None for marks in seen])
        count = len(frames)
        rows = {"rotation": (3,), "log_scale": (1,), "gaze": (2,), "points": (5, 2), "arkit": (52,)}
        values = {name: np.full((count, *row), np.nan) for name, row in rows.items()}
        mouth, emotion = np.full(count, np.nan), np.full(len(EMOTIONS), np.nan)
        if known.any():
            landmarks = np.stack([marks for marks in seen if marks is not None])
            labels = self._labellers.label(frames[known], landmarks.astype(np.float32))
            for name in rows:
                values[name][known] = labels[name]
            mouth[known] = lip_aperture(landmarks)
            emotion = np.asarray(labels["emotion"], np.float64)
        return Readings(
            rotation=values["rotation"],
            log_scale=values["log_scale"][:, 0],
            gaze=values["gaze"],
            mouth=mouth,
            points=values["points"],
            expression=values["arkit"],
            emotion=emotion,
        )


def lip_aperture(landmarks: Float[np.ndarray, "t 478 3"]) -> Float[np.ndarray, " t"]:
    """Distance of the inner lips over that of the outer eye corners, both in space."""
    upper, lower = (landmarks[:, i] for i in INNER_LIPS)
    right, left = (landmarks[:, i] for i in EYE_CORNERS)
    return np.linalg.norm(upper - lower, axis=-1) / np.linalg.norm(right - left, axis=-1)


def lpips_distance(batch: int = 8) -> Callable[[Frames, Frames], Float[np.ndarray, " t"]]:
    """LPIPS of pairs of pictures by the zoo's `vgg16-lpips`, one program of fixed shape."""
    params = {"params": lpips.load(zoo.ensure("vgg16-lpips"))}
    network = jax.jit(lambda a, b: lpips.LPIPS().apply(params, a, b))

    def measure(a: Frames, b: Frames) -> Float[np.ndarray, " t"]:
        return in_batches(network, (to_float(a), to_float(b)), batch)

    return measure


__all__ = [
    "CLIPS",
    "SWAPS",
    "Found",
    "MeshReader",
    "choose",
    "find_records",
    "identity_vectors",
    "in_batches",
    "lpips_distance",
    "swaps_of",
    "to_eval_clip",
    "to_swaps",
    "video_features",
]
