"""MakeHuman's CC0 assets in a folder of a user's: skins, irises, brows, lashes and hair."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vasa_jax.errors import UserError

ROOMS = ("skins", "eyes", "eyebrows", "eyelashes", "hair")


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
        raise UserError(f"{folder}: is no folder; --assets takes one with MakeHuman's "
                        f"{', '.join(ROOMS)}")  # fmt: skip
    skins = {}
    for room in sorted((folder / "skins").glob("*")):
        pictures = [p for p in sorted(room.glob("*")) if p.suffix in (".png", ".jpg")]
        pictures = [p for p in pictures if "diffuse" in p.name]
        if pictures and "toon" not in room.name:
            skins[room.name] = pictures[0]
    eyes = {p.stem: p for p in sorted((folder / "eyes" / "materials").glob("*_eye.png"))}

    def worn(name: str) -> dict[str, Path]:
        rooms = sorted((folder / name).glob("*"))
        return {r.name: r for r in rooms if list(r.glob("*.mhclo")) and list(r.glob("*.png"))}

    found = Assets(skins, eyes, worn("eyebrows"), worn("eyelashes"), worn("hair"))
    if not any(found):
        raise UserError(f"{folder}: holds none of MakeHuman's {', '.join(ROOMS)}; --assets takes a "
                        "folder in MakeHuman's own layout")  # fmt: skip
    return found
