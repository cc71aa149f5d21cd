"""Painted teeth: crowns, gaps and gums along a dental arch, as one texture for each jaw.

A texture's u runs along the arch from the person's right to their left (`HALF_ARCH` on either
side), its v from the biting edge (0) to `HEIGHT` above it, towards the root. Decimetres.
"""

import cv2
import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.maths import step
from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh, Part
from vasa_jax.data_pipeline.synthetic.identity import Mouth
from vasa_jax.typing import Float, UInt8

HALF_ARCH, HEIGHT = 0.72, 0.24
SIDE = (96, 512)
"""Rows and columns of a texture."""
WIDTHS = {
    "upper": (0.085, 0.065, 0.076, 0.071, 0.067, 0.10, 0.10),
    "lower": (0.053, 0.059, 0.069, 0.070, 0.071, 0.11, 0.11),
}
"""Crowns from the middle outwards (Wheeler's dental anatomy: mean mesiodistal widths)."""
_GUM = {"upper": HEIGHT, "lower": 0.135}
"""How far the gum is drawn: the roots of lower teeth would come through the chin of an open jaw."""
LENGTHS = {
    "upper": (0.105, 0.09, 0.10, 0.085, 0.08, 0.075, 0.07),
    "lower": (0.09, 0.095, 0.11, 0.085, 0.08, 0.075, 0.07),
}


def along_arch(mesh: Mesh, name: str) -> Part:
    """A row of teeth with texture coordinates along its arch: see the module.

    name: "upper" or "lower". The mesh's rows have a sharp biting edge between two walls.
    """
    part = mesh.parts[f"helper-{name}-teeth"]
    place = mesh.rest[part.vertex]
    x, y, z = place.T
    back = place[:, 2].min()
    angle = np.arctan2(x, z - back)
    edge = y.min() if name == "upper" else y.max()
    # The biting edge rises or falls towards the back; the front wall tells the arch.
    bins = np.linspace(angle.min(), angle.max(), 18)
    at = np.digitize(angle, bins)
    extreme = np.minimum if name == "upper" else np.maximum
    line = np.full(len(bins) + 1, edge)
    front = np.zeros((len(bins) + 1, 2))
    for k in np.unique(at):
        line[k] = extreme.reduce(y[at == k])
        far = np.argmax(np.hypot(x[at == k], z[at == k] - back))
        front[k] = x[at == k][far], z[at == k][far]
    used = np.unique(at)
    steps = np.linalg.norm(np.diff(front[used], axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    middle = np.interp(0.0, front[used][:, 0], length)
    s = np.interp(angle, np.arctan2(front[used][:, 0], front[used][:, 1] - back), length - middle)
    h = np.abs(y - line[at])
    uv = np.stack([0.5 + 0.5 * s / HALF_ARCH, h / HEIGHT], 1)
    return part._replace(uv=np.clip(uv, 0, 1).astype(np.float32))


def paint_teeth(mouth: Mouth, name: str) -> UInt8[np.ndarray, "r c 4"]:
    """The texture of one row of teeth, sRGB; alpha 0 where there is neither tooth nor gum."""
    rng = np.random.default_rng((mouth.seed, name == "lower"))
    rows, columns = SIDE
    s = np.abs(np.linspace(-HALF_ARCH, HALF_ARCH, columns))[None]
    side = np.linspace(-1, 1, columns) > 0
    h = np.linspace(HEIGHT, 0, rows)[:, None]
    tooth = np.array(mouth.teeth, np.float32)
    colour: np.ndarray = np.broadcast_to(tooth, (rows, columns, 3)).copy()
    gum = np.array(mouth.gums, np.float32)
    crown = np.zeros((rows, columns))
    shade = np.ones((rows, columns))
    hole = np.zeros((rows, columns), bool)
    at = 0.5 * mouth.diastema if name == "upper" else 0.0
    for k, (width, length) in enumerate(zip(WIDTHS[name], LENGTHS[name], strict=True)):
        width *= mouth.size
        for left in (False, True):
            shift = mouth.crooked * rng.uniform(-1, 1, 3)
            tall = length * mouth.size * (1 + 0.5 * shift[0])
            mine = (side == left)[None] & (s >= at) & (s < at + width)
            u = np.clip((s - at) / width * 2 - 1, -1, 1)
            start = max(0.0, 0.02 * shift[1]) + 0.012 * np.abs(u) ** 6
            if k == 1 and name == "upper":
                start = start + 0.006
            if k == 2:
                start = start + 0.010 * np.abs(u) ** 1.5 - 0.002
            neck = tall * (0.88 + 0.12 * (1 - u**2))
            inside = step(h - start, -0.004, 0.004) * step(neck - h, -0.004, 0.004)
            crown = np.where(mine, inside, crown)
            round_ = 1 - 0.30 * np.abs(u) ** 3 - 0.38 * step(np.abs(u), 0.86, 1.0)
            tone = 1 + 0.10 * shift[2]
            shade = np.where(mine, round_ * tone, shade)
            if (name, 2 * k + left) in mouth.missing:
                hole |= mine & (h < neck)
            else:
                hole |= mine & (h < start)
        at += width + mouth.gap
    towards_root = np.clip(h / 0.10, 0, 1)
    colour = colour * (1 + 0.06 * (0.5 - towards_root))[..., None]
    yellow = np.array([1.0, 0.955, 0.85], np.float32)
    colour = colour * (1 + towards_root[..., None] * (yellow - 1))
    colour = colour * shade[..., None]
    wall = gum * (1 + 0.08 * (rng.random((rows, columns)) - 0.5))[..., None]
    colour = colour * crown[..., None] + wall * (1 - crown[..., None])
    if mouth.braces in (name, "both"):
        colour = _braces(colour, mouth, name)
    hole |= h > _GUM[name]
    alpha = np.where(hole, 0.0, 1.0)
    alpha = cv2.GaussianBlur(alpha, (3, 3), 0)
    rgba = np.concatenate([colour, alpha[..., None]], -1)
    return (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8)


def _braces(colour: Float[np.ndarray, "r c 3"], mouth: Mouth, name: str):
    """Brackets in the middle of the front ten crowns, and a wire through them."""
    rows, columns = SIDE
    s = np.abs(np.linspace(-HALF_ARCH, HALF_ARCH, columns))[None]
    h = np.linspace(HEIGHT, 0, rows)[:, None]
    colour, middle, at = colour.copy(), 0.05 * mouth.size, 0.0
    metal = np.array([0.72, 0.73, 0.76], np.float32)
    colour[(np.abs(h - middle) < 0.004) & (s < 0.45)] = 0.8 * metal
    for width in WIDTHS[name][:5]:
        centre = at + 0.5 * width * mouth.size
        colour[(np.abs(h - middle) < 0.014) & (np.abs(s - centre) < 0.015)] = metal
        at += width * mouth.size + mouth.gap
    return colour
