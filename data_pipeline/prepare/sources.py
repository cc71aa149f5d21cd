"""The videos of a folder, and the identity of each."""

import re
from pathlib import Path
from typing import NamedTuple

from vasa_jax.media.folders import find_videos
from vasa_jax.media.places import short_path

CLIP_ENDING = "-{:06d}.npz"
"""Of a clip's file, after the source's name: the clip's first frame."""
_VOXCELEB = re.compile(r"id\d{5}")
"""A person's folder in VoxCeleb2: id00012/21Uxsk56VDQ/00001.mp4."""


class Source(NamedTuple):
    """One video."""

    path: Path
    name: str  # its path below the folder, without the ending
    identity: str  # the person


class Sources(NamedTuple):
    """The videos of a folder."""

    videos: list[Source]  # in order of their names
    note: str  # one line on files that are left out, or ""
    left_out: dict[str, int]  # their number by ending


def find_sources(folder: Path, identity_from: str = "auto") -> Sources:
    """Every video below a folder.

    identity_from: "folder" takes one person for each first folder, "file" one for each file. "auto"
    takes the folder idNNNNN of VoxCeleb2's layout, else the first folder, and the file where it
    lies in none. Raises UserError for a folder that is missing or holds no video.
    """
    found = find_videos(folder)
    files = found.files
    names = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
    sources, ending = [], CLIP_ENDING.format(0)
    for file, name in zip(files, names, strict=True):
        # Two videos that differ in their ending alone must not share one record.
        unique = name if names.count(name) == 1 else f"{name}{file.suffix.lower()}"
        # Its clips and its record must have names that a disk takes.
        unique = short_path(unique, ending).removesuffix(ending)
        sources.append(Source(file, unique, _identity(name, identity_from)))
    return Sources(sources, found.note("videos"), found.left_out)


def _identity(name: str, identity_from: str) -> str:
    *folders, _ = name.split("/")
    if identity_from == "file" or not folders:
        return name
    if identity_from == "auto":
        return next((part for part in folders if _VOXCELEB.fullmatch(part)), folders[0])
    return folders[0]
