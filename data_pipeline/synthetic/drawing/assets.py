"""MakeHuman's CC0 assets in a user's folder: skins, irises, brows, lashes and hair."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vasa_jax.errors import UserError

ROOMS = ("skins", "eyes", "eyebrows", "eyelashes", "hair")
PICTURES = (".png", ".webp", ".jpg")
"""MakeHuman's own are PNG and JPEG; WebP keeps the alpha of hair in a quarter of PNG's bytes."""


class Assets(NamedTuple):
    """Name to picture (skins, eyes) or to folder (brows, lashes, hair)."""

    skins: dict[str, Path]
    eyes: dict[str, Path]
    brows: dict[str, Path]
    lashes: dict[str, Path]
    hair: dict[str, Path]


@lru_cache(maxsize=4)
def find_assets(folder: Path) -> Assets:
    """What a folder in MakeHuman's layout holds; what has no picture is left out.

    Raises UserError for a folder without any of it.
    """
    if not Path(folder).is_dir():
        raise UserError(
            f"{folder}: is no folder; --assets takes one with MakeHuman's {', '.join(ROOMS)}"
        )
    skins = {}
    for room in sorted((folder / "skins").glob("*")):
        found = [p for p in pictures(room) if "diffuse" in p.name]
        if found and "toon" not in room.name:
            skins[room.name] = found[0]
    eyes = {p.stem: p for p in pictures(folder / "eyes" / "materials") if p.stem.endswith("_eye")}

    def proxies(name: str) -> dict[str, Path]:
        rooms = sorted((folder / name).glob("*"))
        return {room.name: room for room in rooms if proxy_files(room) is not None}

    assets = Assets(skins, eyes, proxies("eyebrows"), proxies("eyelashes"), proxies("hair"))
    if not any(assets):
        raise UserError(
            f"{folder}: holds none of MakeHuman's {', '.join(ROOMS)}; --assets takes a "
            "folder in MakeHuman's own layout"
        )
    return assets


def pictures(folder: Path) -> list[Path]:
    """The pictures that lie directly in a folder, by name."""
    return [p for p in sorted(folder.glob("*")) if p.suffix in PICTURES]


def proxy_files(folder: Path) -> tuple[Path, Path] | None:
    """A proxy's .mhclo and its texture: the first picture called diffuse, else the first; None
    where either is missing."""
    proxies, found = sorted(folder.glob("*.mhclo")), pictures(folder)
    found.sort(key=lambda picture: "diffuse" not in picture.name)
    return (proxies[0], found[0]) if proxies and found else None
