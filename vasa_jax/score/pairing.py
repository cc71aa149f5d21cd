"""The videos of systems, their real counterparts, and the people in them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vasa_jax.errors import UserError
from vasa_jax.media.folders import find_videos

REAL = "real"
"""The system of the real videos."""
_SAMPLE = re.compile(r"[._-](?:sample|seed|s)?\d+$")
"""What tells several samples of one clip apart: NAME-0.mp4, NAME.seed2.mp4, NAME_s1.mp4."""
_VOXCELEB = re.compile(r"id\d{5}")


class Video(NamedTuple):
    """One video of a system."""

    system: str
    name: str  # its path below the folder, without the ending
    path: Path
    person: str
    reference: str | None  # name of the real video


class Group(NamedTuple):
    """A real video, or none, and all videos that are compared with it."""

    real: Video | None
    videos: tuple[Video, ...]


def videos_of(place: Path) -> dict[str, Path]:
    """Videos by name: every one below a folder, or the file itself.

    Raises UserError for a missing place, a folder without videos, two of the same name.
    """
    place = Path(place)
    if place.is_file():
        return {place.stem: place}
    found: dict[str, Path] = {}
    for path in find_videos(place).files:
        name = path.relative_to(place).with_suffix("").as_posix()
        if name in found:
            raise UserError(
                f"{path} and {found[name]} differ in their endings alone, so they cannot be told "
                "apart by name; rename one"
            )
        found[name] = path
    return found


def group_videos(
    systems: Mapping[str, Path], reference: Path | None, people: Mapping[str, str] | None = None
) -> list[Group]:
    """The videos of all systems by their real counterpart, real videos that nothing is compared
    with included; without a counterpart each stands alone.

    A video's counterpart has its name, or its name without the number of a sample; a single file's
    is the single real file. people: persons by name, see `read_people`. Raises UserError as
    `videos_of`, for a system called "real", and where `people` lacks a name.
    """
    if REAL in systems:
        raise UserError(f"a system cannot be called {REAL!r}; that row is for --reference")
    real_paths = videos_of(reference) if reference is not None else {}
    groups: dict[str, list[Video]] = {name: [] for name in real_paths}
    alone: list[Group] = []
    for system, place in systems.items():
        paths = videos_of(place)
        single = len(paths) == len(real_paths) == 1 and Path(place).is_file()
        for name, path in paths.items():
            match = next(iter(real_paths)) if single else counterpart(name, real_paths)
            video = Video(system, name, path, person_of(match or name, people), match)
            if match is None:
                alone.append(Group(None, (video,)))
            else:
                groups[match].append(video)
    paired = [
        Group(Video(REAL, name, real_paths[name], person_of(name, people), name), tuple(videos))
        for name, videos in groups.items()
    ]
    return paired + alone


def counterpart(name: str, real: Mapping[str, Path] | Sequence[str]) -> str | None:
    """The real video of a name, with or without the number of a sample; None without one."""
    if name in real:
        return name
    short = _SAMPLE.sub("", name)
    return short if short in real else None


def person_of(name: str, people: Mapping[str, str] | None) -> str:
    """Who is seen: by the file of people, else VoxCeleb2's id where the name has it, else the first
    folder, else the video itself. Raises UserError where the file of people lacks the name."""
    if people is not None:
        found = people.get(name, people.get(_SAMPLE.sub("", name)))
        if found is None:
            raise UserError(f"--people has no line for the video {name!r}; add NAME,PERSON")
        return found
    if (vox := _VOXCELEB.search(name)) is not None:
        return vox.group()
    folder, slash, _ = name.partition("/")
    return folder if slash else name


def read_people(path: Path) -> dict[str, str]:
    """Persons by video from lines NAME,PERSON (or with a tab); NAME has no ending.

    Raises UserError for a file that cannot be read, a line of another form, a name given twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from None
    people: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, person = line.partition("\t" if "\t" in line else ",")
        name, person = name.strip(), person.strip()
        if not name or not person:
            raise UserError(f"{path}, line {number}: {line.strip()!r} is not NAME,PERSON")
        if people.setdefault(name, person) != person:
            raise UserError(f"{path}, line {number}: {name!r} has two people")
    return people
