"""MakeHuman's assets at a fraction of their bytes: what the renderer opens, and nothing else."""

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from vasa_jax.data_pipeline.synthetic.drawing.assets import find_assets, proxy_files
from vasa_jax.data_pipeline.synthetic.drawing.skin import SIZE
from vasa_jax.errors import UserError
from vasa_jax.typing import UInt8

__all__ = ["encode_small", "shrink_assets"]

QUALITY = 90
"""Of JPEG and WebP."""
NAMED = 64
"""Side of irises, pixels: `sampling.draw` chooses among their names, which people depend on, and
the renderer paints the iris itself."""


def shrink_assets(source: Path, out: Path) -> None:
    """Write a folder from which `sample_identity` draws the same people as from `source`.

    Skins get the renderer's size. Raises UserError for a folder without assets, or with broken
    ones.
    """
    found = find_assets(source)
    for picture in found.skins.values():
        _shrink(picture, out / picture.relative_to(source), SIZE, opaque=True)
    for picture in found.eyes.values():
        _shrink(picture, out / picture.relative_to(source), NAMED, opaque=True)
    for room in (*found.brows.values(), *found.lashes.values(), *found.hair.values()):
        files = proxy_files(room)
        if files is None:
            raise UserError(f"{room}: lacks its proxy or picture; get MakeHuman's assets anew")
        proxy, picture = files
        mesh = proxy.with_suffix(".obj")
        if not mesh.is_file():
            raise UserError(f"{proxy}: lacks its {mesh.name}; get MakeHuman's assets anew")
        folder = out / room.relative_to(source)
        _shrink(picture, folder / picture.name, None, opaque=False)
        for file in (proxy, mesh):
            shutil.copyfile(file, folder / file.name)


def encode_small(picture: UInt8[np.ndarray, "h w c"]) -> tuple[bytes, str]:
    """The fewest bytes of a picture (RGB or RGBA) and the suffix of their format.

    JPEG where nothing is transparent. Else WebP with exact alpha, lossless if that is smaller; the
    colour of transparent texels is kept, which filtering mixes into edges.
    """
    if picture.shape[2] == 3 or (picture[..., 3] == 255).all():
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, *sampling]
        bgr = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", bgr, options)[1].tobytes(), ".jpg"
    image = Image.fromarray(picture)
    forms = []
    for kind in ({"quality": QUALITY}, {"lossless": True}):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", method=4, exact=True, **kind)
        forms.append(buffer.getvalue())
    return min(forms, key=len), ".webp"


def _shrink(source: Path, target: Path, size: int | None, opaque: bool) -> None:
    """Write a picture small. size: the most that its sides keep; opaque: alpha is not used."""
    read = cv2.imread(str(source), cv2.IMREAD_COLOR if opaque else cv2.IMREAD_UNCHANGED)
    if read is None or read.ndim != 3:
        raise UserError(f"{source}: is not a colour picture; get MakeHuman's assets anew")
    target.parent.mkdir(parents=True, exist_ok=True)
    larger = False
    if size is not None and max(read.shape[:2]) > size:
        larger = True
        read = cv2.resize(read, (size, size), interpolation=cv2.INTER_AREA)
    order = cv2.COLOR_BGR2RGB if read.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    content, suffix = encode_small(cv2.cvtColor(read, order))
    # A JPEG of the right size is small already, and loses with every encoding.
    if not larger and (source.suffix == ".jpg" or source.stat().st_size <= len(content)):
        content, suffix = source.read_bytes(), source.suffix
    target.with_suffix(suffix).write_bytes(content)
