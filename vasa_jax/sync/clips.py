"""Clips of lips and sound, and the examples that the sync network learns from."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vasa_jax.config.sync import SyncConfig
from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFile
from vasa_jax.sync.augment import SPEED, augment_clip, augment_lips
from vasa_jax.sync.lips import POINTS, align_lips, fill_gaps, without_mean
from vasa_jax.sync.sound import log_mel_frames
from vasa_jax.sync.trainer import STRETCHES, SyncBatch
from vasa_jax.typing import FPS, SAMPLES_PER_FRAME, Float, Int

__all__ = [
    "LipClip",
    "LipClips",
    "find_lip_clips",
    "read_lip_clip",
    "stored_mark",
    "write_lip_clip",
]

SPLITS = ("train", "val", "test")
IN_MEMORY = 4096
"""Variants of clips that are kept; 110 kB each for six seconds."""


LEAST_SEEN = 0.7
"""Share of a clip's frames in which a face was found."""


class LipClip(NamedTuple):
    """t frames of aligned lips (`align_lips`), and their sound."""

    lips: Float[np.ndarray, "t p 3"]  # NaN where no face was seen
    wave: Float[np.ndarray, " n"]  # t * 640 samples


def write_lip_clip(
    path: Path,
    landmarks: Float[np.ndarray, "t 478 3"],
    audio: Int[np.ndarray, " n"],
    mark: str = "",
) -> None:
    """Store a clip's lips (centimetres, float16) and int16 sound, whole or not at all.

    mark: of what they were read from, for `stored_mark`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pending = PendingFile(path, "clip")
    try:
        with pending.temporary.open("wb") as file:
            lips = align_lips(landmarks).astype(np.float16)
            np.savez(file, lips=lips, audio=audio, mark=np.array(mark))
        pending.commit()
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        pending.discard()


def stored_mark(path: Path) -> str | None:
    """The mark of a clip that is there; None where there is none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return str(stored["mark"]) if "lips" in stored else None
    except Exception:  # not there, or not ours
        return None


def read_lip_clip(path: Path) -> LipClip:
    """Raises UserError for a file that is no such clip."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            lips, audio = stored["lips"], stored["audio"]
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise UserError(f"{path}: is no clip of lips and sound ({error})") from None
    frames = min(len(lips), len(audio) // SAMPLES_PER_FRAME)
    if lips.shape[1:] != (len(POINTS), 3) or audio.ndim != 1 or audio.dtype != np.int16:
        raise UserError(f"{path}: is no clip of {len(POINTS)} lip points and int16 sound")
    wave = audio[: frames * SAMPLES_PER_FRAME].astype(np.float32) / 32768
    return LipClip(lips[:frames].astype(np.float32), wave)


def find_lip_clips(folder: Path, split: str = "train") -> list[Path]:
    """The clips of a split, in order; a folder without splits is all of them."""
    folder = Path(folder)
    if any((folder / name).is_dir() for name in SPLITS):
        folder = folder / split
    return sorted(f for f in folder.rglob("*.npz") if not f.name.startswith("."))


def _usable(clip: LipClip, least: float) -> bool:
    seen = np.isfinite(clip.lips).all((1, 2))
    return len(seen) >= least and bool(seen.mean() >= LEAST_SEEN)


class LipClips:
    """An endless, shuffled, checkpointable iterator of `SyncBatch` over a folder of lip clips.

    Clip, variant, place and noise of a row follow from the seed and the row's number alone. Hosts
    read disjoint clips. Raises UserError for folders without clips, and clips that are too short.
    """

    ahead = 2

    def __init__(self, folder: Path, config: SyncConfig, split: str = "train"):
        self._train, self._bins = config.train_sync, config.sync.mel_bins
        host, hosts = jax.process_index(), jax.process_count()
        files = find_lip_clips(folder, split)
        # Faster variants are shorter.
        least = (self._train.window + 2 * self._train.shift) * SPEED + 1
        files = [file for file in files if _usable(read_lip_clip(file), least)]
        if len(files) < hosts:
            raise UserError(
                f"{folder}: holds {len(files)} clips of a face with sound of {least / FPS:.1f} s "
                f"or more, and {hosts} hosts need one each; make a dataset by `vasa-jax prepare` "
                "or `vasa-jax synth`, or lower train_sync.window"
            )
        self._files = files[host::hosts]
        self._share, self._host, self._index = self._train.batch // hosts, host, 0
        self._speeds = self._train.variants if self._train.augment else 1
        self._read = lru_cache(IN_MEMORY)(self._variant)

    def __iter__(self):
        return self

    def __next__(self) -> SyncBatch:
        first = self._index * self._share
        rows = [self._row(first + i) for i in range(self._share)]
        self._index += 1
        columns: tuple[Any, ...] = tuple(np.stack(c) for c in zip(*rows, strict=True))
        return SyncBatch(*columns)

    def state(self) -> dict[str, int]:
        """The number of batches taken."""
        return {"index": self._index}

    def restore(self, state: dict[str, int]) -> None:
        """Go on after `state`; the folder must hold the same clips."""
        self._index = int(state["index"])

    def _row(self, number: int) -> tuple[np.ndarray, ...]:
        train = self._train
        epoch, place = divmod(number, len(self._files))
        order = np.random.default_rng((train.seed, self._host, epoch)).permutation(len(self._files))
        rng = np.random.default_rng((train.seed, self._host, number, 1))
        lips, sounds = self._read(int(order[place]), int(rng.integers(self._speeds)))
        w, s = train.window, train.shift
        start = int(rng.integers(s, len(lips) - w - s + 1))
        lips = lips[start : start + w].astype(np.float32)
        if train.augment:
            lips = augment_lips(rng, lips)
        sounds = sounds[start - s : start + w + s].astype(np.float32)
        length = rng.integers(train.shortest, train.longest + 1, STRETCHES)
        begin = rng.integers(0, w - length + 1)
        return (
            lips.reshape(w, -1),
            sounds,
            begin.astype(np.int32),
            length.astype(np.int32),
        )

    def _variant(self, file: int, variant: int) -> tuple[np.ndarray, np.ndarray]:
        """Lips (t, p, 3) and sound (t, f) of a clip without their means, float16."""
        clip = read_lip_clip(self._files[file])
        lips, wave = fill_gaps(clip.lips), clip.wave
        if variant:
            rng = np.random.default_rng((self._train.seed, self._host, file, variant, 2))
            lips, wave = augment_clip(rng, lips, wave)
        sounds = without_mean(log_mel_frames(wave, self._bins))
        flat = without_mean(lips.reshape(len(lips), -1)).reshape(lips.shape)
        return flat.astype(np.float16), sounds.astype(np.float16)
