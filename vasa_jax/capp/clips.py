"""Clips that CAPP learns from: head rotation and sound, whatever folder they lie in."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.audio.level import at_speech_level
from vasa_jax.audio.mu_law import expand
from vasa_jax.capp.poses import fill_gaps
from vasa_jax.errors import UserError
from vasa_jax.training.motion_clips import find_clips
from vasa_jax.typing import ROTATION, SAMPLES_PER_FRAME, Bool, Float


class PoseClip(NamedTuple):
    """A clip of t frames at 25 fps."""

    rotation: Float[np.ndarray, "t 3"]  # pitch, yaw, roll, radians; gaps are filled
    known: Bool[np.ndarray, " t"]  # where it was measured
    waveform: Float[np.ndarray, " n"]  # (t * 640,), 16 kHz, at the level of speech


class PoseClips(NamedTuple):
    """A split of a data set. names: of its clips, in order. people: of each, "" where unknown.
    frames: of each. open: reads one by its number; raises UserError for one that is broken."""

    names: tuple[str, ...]
    people: tuple[str, ...]
    frames: tuple[int, ...]
    open: Callable[[int], PoseClip]


def find_pose_clips(folder: Path, split: str = "train") -> PoseClips:
    """The clips of a split: of a dataset of `vasa-jax prepare` or `vasa-jax synth`, or of a folder
    of .npz files, with or without folders train, val and test in it, of one of these kinds:

    - clips of `prepare` and `synth`, and tracks of motion without pictures: `rotation` (t, 3) and
      `audio` (640 t,), int16 or 8-bit mu-law;
    - clips of `extract-motion` by a face model whose z_pose is a head pose: `motion` (t, m) and
      `waveform`.

    Raises UserError for folders without such clips, and for an unreadable file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such data folder; check --data")
    return _records(folder, split) or _files(folder, split)


def _records(folder: Path, split: str) -> PoseClips | None:
    from vasa_jax.data_pipeline.datasets.read import find_dataset, open_dataset

    if find_dataset(folder) is None:
        return None
    dataset = open_dataset(folder)
    if split not in dataset.splits:
        raise UserError(
            f"{dataset.folder}: has no split {split!r}; it has {', '.join(dataset.splits)}"
        )
    index, records = dataset.splits[split], dataset.records(split)
    if index.has.get("rotation", 0) < len(index.ids):
        raise UserError(
            f"{dataset.folder}: {len(index.ids) - index.has.get('rotation', 0)} of its clips lack "
            "the rotation of the head; prepare the videos anew"
        )

    def read(number: int) -> PoseClip:
        clip = records[number]
        return _clip(clip.rotation, clip.audio)

    people = tuple(who[0] for who in index.identity)
    return PoseClips(index.ids, people, tuple(int(n) for n in index.frames), read)


def _files(folder: Path, split: str) -> PoseClips:
    place, files = find_clips(folder, split)
    heads = [_head(file) for file in files]

    def read(number: int) -> PoseClip:
        return _read(files[number])

    return PoseClips(
        tuple(file.relative_to(place).as_posix() for file in files),
        tuple(person for person, _ in heads),
        tuple(frames for _, frames in heads),
        read,
    )


def _head(file: Path) -> tuple[str, int]:
    """Person and frames of a file, without its sound."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            rotation = stored["rotation" if "rotation" in stored else "motion"]
            return str(stored["identity"]) if "identity" in stored else "", len(rotation)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise _unreadable(file, error) from None


def _read(file: Path) -> PoseClip:
    try:
        with np.load(file, allow_pickle=False) as stored:
            if "rotation" in stored:
                rotation, sound = stored["rotation"], stored["audio"]
            else:
                rotation, sound = stored["motion"][:, ROTATION], stored["waveform"]
        if sound.dtype == np.uint8:
            sound = expand(sound)
        return _clip(rotation, sound)
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(
        f"{file}: is no clip with head rotation and sound ({str(error)[:200]}); make it anew by "
        "`vasa-jax prepare` or `vasa-jax synth`, or remove it"
    )


def _clip(rotation: np.ndarray, sound: np.ndarray) -> PoseClip:
    if rotation.ndim != 2 or rotation.shape[1] != 3 or sound.ndim != 1:
        raise ValueError(f"rotation has shape {rotation.shape}, sound {sound.shape}")
    filled, known = fill_gaps(rotation.astype(np.float32))
    wave = sound.astype(np.float32) / 32767 if sound.dtype.kind == "i" else sound
    samples = len(filled) * SAMPLES_PER_FRAME
    wave = np.pad(wave[:samples], (0, max(samples - len(wave), 0)))
    return PoseClip(filled, known, at_speech_level(wave.astype(np.float32)))
