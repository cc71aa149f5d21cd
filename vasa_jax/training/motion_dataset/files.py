"""The folder that `vasa-jax extract-motion` fills: the files of a clip, and which are finished."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFile
from vasa_jax.media.places import check_ours, short_path

SPLITS = ("train", "val", "test")
_WHAT = "clip of `vasa-jax extract-motion`"
_PART_ENDING = "-000000.npz"
_PART = re.compile(r"(?P<stem>.+)-\d{6}\.npz")


class StoredPart(NamedTuple):
    """What is stored of a clip, whole or in part."""

    start: int  # its first frame in the clip
    arrays: Mapping[str, np.ndarray]


class MotionFolder:
    """`folder`/SPLIT/NAME.npz of clips, or NAME-START.npz of each part of one that was split.

    A file's record says of what it was made and, of a part, which of how many it is. Parts are
    looked up once, when the object is made.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._parts: dict[tuple[str, str], list[Path]] = defaultdict(list)
        for split in SPLITS:
            for file in sorted((folder / split).rglob("*.npz")):
                if found := _PART.fullmatch(file.relative_to(folder / split).as_posix()):
                    self._parts[split, found["stem"]].append(file)

    def check(self, name: str, parts: bool) -> None:
        """Raise UserError where a file of somebody else has one of the clip's names."""
        for split in SPLITS:
            for file in self._files(name, split, parts):
                check_ours(file, _WHAT, record_of)

    def finished(self, name: str, split: str, record: Mapping[str, Any], parts: bool) -> int:
        """Frames of the clip that an earlier run made by this record, moved to `split` if they lie
        in another; 0 if there is none. parts: whether the clip may have been split."""
        for place in (split, *(s for s in SPLITS if s != split)):
            whole, *split_files = self._files(name, place, parts)
            for files in ([whole], split_files):
                found = [_frames(file, record) for file in files]
                wanted = [(index, len(files)) for index in range(len(files))]
                if files and [part for _, part in found] == wanted:
                    for file in files if place != split else ():
                        target = self._folder / split / file.relative_to(self._folder / place)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        file.replace(target)
                    return sum(frames for frames, _ in found)
        return 0

    def write(
        self,
        name: str,
        split: str,
        stored: Sequence[StoredPart],
        record: Mapping[str, Any],
        parts: bool,
    ) -> None:
        """Write a clip's files, each whole or not at all, and remove what an older model or source
        gave. No parts: remove that alone. Raises UserError where it cannot be written."""
        made = []
        for index, part in enumerate(stored):
            path = self._whole(name, split)
            if part.start or len(stored) > 1:
                path = self._folder / split / f"{_stem(name)}-{part.start:06d}.npz"
            count = len(part.arrays["motion"])
            _write(path, part.arrays, {**record, "frames": count, "part": [index, len(stored)]})
            made.append(path)
        for place in SPLITS:
            for file in self._files(name, place, parts):
                if file not in made and record_of(file) is not None:
                    file.unlink()

    def _whole(self, name: str, split: str) -> Path:
        return self._folder / split / short_path(name, ".npz")

    def _files(self, name: str, split: str, parts: bool) -> list[Path]:
        """The place of a clip that was not split, and the parts that are there."""
        return [self._whole(name, split), *(self._parts[split, _stem(name)] if parts else [])]


def record_of(path: Path) -> dict | None:
    """What a file of `MotionFolder` says of its making; None of any other file, and of none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = json.loads(str(stored["record"]))
    except Exception:  # zipfile, zlib and numpy each have their own
        return None
    return found if isinstance(found, dict) else None


def _stem(name: str) -> str:
    return short_path(name, _PART_ENDING).removesuffix(_PART_ENDING)


def _frames(file: Path, record: Mapping[str, Any]) -> tuple[int, tuple[int, int] | None]:
    """Frames of a finished file of this record and which part of how many it is; else 0, None."""
    found = record_of(file)
    if found is None or {key: found.get(key) for key in record} != record:
        return 0, None
    try:
        index, count = found["part"]
        return int(found["frames"]), (int(index), int(count))
    except (LookupError, TypeError, ValueError):
        return 0, None


def _write(path: Path, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
    """The record lies in the same file, so that both are true together."""
    check_ours(path, _WHAT, record_of)
    pending = PendingFile(path, "clip")
    try:
        with pending.temporary.open("wb") as file:
            everything: dict[str, Any] = {**arrays, "record": np.array(json.dumps(record))}
            np.savez(file, **everything)
        pending.commit()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); free some disk space, then "
            "run the same command again"
        ) from None
    finally:
        pending.discard()
