"""The texture of painted hair: strands, locks or curls, ragged where the hair ends."""

import cv2
import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.hair import AZIMUTH, grid, on_skin, region
from vasa_jax.data_pipeline.synthetic.drawing.maths import noise, step
from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh
from vasa_jax.typing import UInt8

WIDE, HIGH = 1024, 512


def paint_hair(identity, mesh: Mesh) -> UInt8[np.ndarray, "h w 4"]:
    """Colour and cover; row 0 is the crown, column 0 the middle of the back of the head."""
    rng, style, cut = np.random.default_rng((identity.seed, 23)), identity.hair, identity.cut
    rest = on_skin(grid(mesh), mesh.rest, False).astype(np.float32)
    rows, columns = rest.shape[:2]
    u, v = np.meshgrid(np.arange(WIDE) + 0.5, np.arange(HIGH) + 0.5)
    u, v = (u / WIDE * (columns - 1)).astype(np.float32), (v / HIGH * (rows - 1)).astype(np.float32)
    place = cv2.remap(rest, u, v, cv2.INTER_LINEAR)
    azimuth = AZIMUTH[0] + u * (2 * np.pi / (columns - 1))
    depth = region(style, cut, place, azimuth)
    strands, locks = _strands(rng, style, cut, place, azimuth)
    ragged = 0.045 if style in ("afro", "curly") else 0.03
    ends = locks if style in ("bowl", "bob", "long") or cut.fringe > 0 else 0.5 * locks
    depth = depth + ragged * (0.7 * strands + 0.6 * ends)
    alpha = step(depth, 0.0, 0.07)
    base = np.array(identity.hair_colour, np.float32)
    # Fair hair shows less of the shadows between strands.
    contrast = cut.contrast * (1 - 0.5 * base.mean())
    shade = 1 + contrast * (0.18 * strands + 0.10 * locks)
    shade *= 0.82 + 0.18 * step(depth, 0.0, 0.25)  # roots and rims lie in shadow
    if style in ("short", "bob", "long", "bowl") and cut.fringe < 0.5:
        parting = np.exp(-(((place[..., 0] - 0.35 * cut.sweep) / 0.022) ** 2))
        shade *= 1 - 0.45 * parting * step(place[..., 2], 0.4, 0.7) * step(place[..., 1], 7.7, 7.9)
    streak = np.clip(0.5 + 0.5 * locks, 0, 1)[..., None]
    tinted = np.clip(base * np.array([1.16, 1.08, 1.0]), 0, 1)
    colour = (base + streak * (tinted - base)) * shade[..., None]
    rgba = np.concatenate([colour, alpha[..., None]], -1)
    return (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8)


def _strands(rng, style, cut, place, azimuth):
    """Fine strands and broad locks, each about 0 with deviation 1, along the hair's way."""
    if style in ("afro", "curly"):
        fine = noise(rng, WIDE, 190 if style == "afro" else 110, 2)[:HIGH]
        return np.clip(fine, -2, 2), np.clip(noise(rng, WIDE, 60, 2)[:HIGH], -2, 2)
    x, y, z = np.moveaxis(place, -1, 0)
    if style in ("slick", "quiff", "bun"):  # from the front to the back
        across, along = np.arctan2(x, y - 7.0) / np.pi + 0.5, (z + 0.5) / 2.2
    elif style == "short" or cut.fringe < 0.5:  # to both sides of the parting, then down
        top = step(y, 7.75, 8.2)
        spread = (z - 0.5) * 0.10 * np.sign(x - 0.35 * cut.sweep)
        across = azimuth / (2 * np.pi) + 0.5
        across = across + top * (spread - 0.02 * cut.sweep * y)
        along = (9.0 - y) / 4
    else:
        across, along = azimuth / (2 * np.pi) + 0.5, (9.0 - y) / 4
    across = across + cut.wave * 0.012 * np.sin(along * 34 + 6 * np.sin(9 * across))

    def look(cells, length):
        table = rng.standard_normal((length, cells)).astype(np.float32)
        at = (np.mod(across, 1) * cells).astype(np.float32)
        below = (np.clip(along, 0, 1) * (length - 1)).astype(np.float32)
        found = cv2.remap(table, at, below, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.clip(found / max(found.std(), 1e-6), -2, 2)

    return look(420, 7), look(64, 5)
