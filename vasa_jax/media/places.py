"""Checks of output paths: inputs and foreign files are never replaced, and names are valid."""

import hashlib
import os
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

from vasa_jax.errors import UserError

__all__ = [
    "LONGEST_NAME",
    "check_kept",
    "check_ours",
    "file_key",
    "short_name",
    "short_path",
    "tells_case",
]


def file_key(path: str | os.PathLike) -> Hashable:
    """Equal for two paths that name one file: through links, by hard links, and in other capitals
    on disks that do not tell them apart. Paths of files that are not there are compared by their
    names with links followed."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # not there, or no file name at all
        return os.path.realpath(os.fspath(path).replace("\0", ""))
    return stat.st_dev, stat.st_ino


def check_kept(
    output: str | os.PathLike,
    inputs: Mapping[str, str | os.PathLike | None],
    what: str = "output",
    whole_folder: bool = False,
) -> None:
    """Raise UserError if writing `output` would replace an input.

    inputs: by what they are called in the message; None is none. whole_folder: the output is a
    folder that is replaced with all that lies in it.
    """
    place = file_key(output)
    for name, path in inputs.items():
        if path is None:
            continue
        real = Path(os.path.realpath(path))
        if place in map(file_key, (real, *(real.parents if whole_folder else ()))):
            raise UserError(
                f"{what} {os.fspath(output)!r} would overwrite the {name} {os.fspath(path)!r}; "
                f"give the {what} another name"
            )


def check_ours(path: Path, what: str, known: Callable[[Path], object]) -> None:
    """Raise UserError where `path` is there and would be replaced though no earlier run wrote it.

    what: what is written there, in the message. known: whether a file or folder is of our making;
    whatever it raises means no. Empty files and folders may be replaced.
    """
    try:
        if not path.exists():
            return
        empty = not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
        if empty or known(path):
            return
    except Exception:  # a file of somebody else may be anything
        pass
    raise UserError(
        f"{path}: is there and is no {what}, which would take its place; rename it, or choose "
        "another place for the output"
    )


def tells_case(folder: str | os.PathLike) -> bool:
    """Whether the disk of a folder keeps names apart that differ in capitals alone. The folder need
    not be there yet: then the next one above it that is there tells."""
    place = Path(os.path.realpath(folder))
    while not place.exists() and place != place.parent:
        place = place.parent
    other = place.parent / place.name.swapcase()
    return other == place or file_key(other) != file_key(place)


LONGEST_NAME = 255
"""Bytes of a file's name, on all common file systems."""


def short_name(name: str, ending: str = "") -> str:
    """A file's name without `ending`, cut to what a disk takes with it: of longer ones the
    beginning, and a hash by which they still differ."""
    data = os.fsencode(name)
    most = LONGEST_NAME - len(os.fsencode(ending))
    if len(data) <= most:
        return name
    mark = f"--{hashlib.sha256(data).hexdigest()[:16]}"
    return data[: most - len(mark)].decode(errors="ignore") + mark


def short_path(path: str, ending: str) -> str:
    """A relative path with `ending` added, its last part cut by `short_name`."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{short_name(name, ending)}{ending}"
