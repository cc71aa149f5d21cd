"""Videos and audio files below a folder, and a count of the files left out."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from vasa_jax.errors import UserError

__all__ = ["SOUNDS", "VIDEOS", "Found", "find_files", "find_videos"]

_VIDEOS = (
    ".mp4 .m4v .mov .qt .mkv .mk3d .webm .avi .divx .flv .f4v .wmv .asf .wtv .mpg .mpeg .mpe .m1v "
    ".m2v .mpv .vob .ts .mts .m2ts .m2t .tod .mod .3gp .3gpp .3g2 .ogv .ogm .ogx .mxf .gxf .dv "
    ".insv .rm .rmvb .amv .mjpg .mjpeg .y4m .ivf .h264 .264 .h265 .265 .hevc .nut"
)
_SOUNDS = (
    ".m4a .wav .flac .mp3 .aac .ogg .opus .oga .spx .wma .aif .aiff .aifc .caf .amr .mka .weba "
    ".mp2 .m4b .ac3 .eac3 .au .w64 .ape .wv .tta"
)
VIDEOS = tuple(_VIDEOS.split())
"""Endings of files that FFmpeg reads moving pictures from."""
SOUNDS = tuple(_SOUNDS.split())
"""Endings of files that hold sound alone; the first one wins where a name has several."""


class Found(NamedTuple):
    """Files below a folder."""

    files: list[Path]  # in order
    # Number of other files by their ending in lower case, or by the reason.
    left_out: dict[str, int]

    def note(self, what: str) -> str:
        """One line on what is left out, "" where nothing is. what: the kind of file looked for."""
        if not self.left_out:
            return ""
        parts = ", ".join(f"{name} ({count})" for name, count in self.left_out.items())
        return f"left out, as their names say that they are no {what}: {parts}"


def find_files(folder: Path, endings: Collection[str]) -> Found:
    """Every file with one of these endings (in lower case) below a folder, links followed.

    Each folder is searched once, under its own name rather than that of a link to it. Hidden files
    are left out, and counted only if they have one of the endings.
    """
    files: list[Path] = []
    others: Counter[str] = Counter()

    def unreadable(error: OSError) -> None:
        others["folders that cannot be read"] += 1

    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(folder)]
    while waiting:
        linked: list[str] = []
        for top in waiting:
            for place, folders, names in os.walk(top, onerror=unreadable):
                stat = os.stat(place)
                if (stat.st_dev, stat.st_ino) in seen:
                    folders.clear()
                    others["folders that were met before"] += 1
                    continue
                seen.add((stat.st_dev, stat.st_ino))
                folders.sort()
                paths = [os.path.join(place, name) for name in folders]
                linked += [path for path in paths if os.path.islink(path)]
                for name in names:
                    ending = os.path.splitext(name)[1].lower()
                    wanted = ending in endings
                    if not name.startswith("."):
                        if wanted:
                            files.append(Path(place, name))
                        else:
                            others[ending or "without an ending"] += 1
                    elif wanted:
                        others["hidden"] += 1
        waiting = linked
    return Found(sorted(files), dict(others.most_common()))


def find_videos(folder: Path) -> Found:
    """Every video below a folder, by its name. Raises UserError when there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder that holds the videos")
    found = find_files(folder, VIDEOS)
    if not found.files:
        left = f"; {found.note('videos')}" if found.left_out else ""
        raise UserError(f"{folder}: holds no videos ({', '.join(VIDEOS[:8])}, ...){left}")
    return found
