"""Wrinkles of an expression: their regions, and their depth in each frame."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.maths import step
from vasa_jax.data_pipeline.synthetic.drawing.skin import Maps
from vasa_jax.data_pipeline.synthetic.visemes import vector
from vasa_jax.typing import Float, UInt8

CREASES = {
    "forehead": {"browInnerUp": 0.6, "browOuterUp": 0.3},
    "glabella": {"browDown": 0.5, "noseSneer": 0.2},
    "crow": {"eyeSquint": 0.35, "cheekSquint": 0.3, "mouthSmile": 0.15},
    "nasolabial": {"mouthSmile": 0.5, "noseSneer": 0.35, "mouthUpperUp": 0.25},
}
"""Groups of wrinkles, a channel of the map each, and what draws them: shares of coefficients, of
each side of a pair, in the short names of `visemes.vector`."""
_PULL = np.stack([vector(shares) for shares in CREASES.values()]).astype(np.float32)


def crease_map(maps: Maps, seed: int) -> UInt8[np.ndarray, "s s 4"]:
    """How much of each group lies at a texel. seed: of how many lines and where."""
    rng = np.random.default_rng((seed, 37))
    x, y, z = np.moveaxis(maps.place, -1, 0)
    side, front = np.abs(x), step(z, 0.9, 1.2)

    def near(cx, cy, wide, high):
        return np.exp(-(((side - cx) / wide) ** 2) - ((y - cy) / high) ** 2)

    def ridges(phase, width):
        return np.clip(1 - np.abs(np.mod(phase, 1) - 0.5) / width, 0, 1)

    bend = 0.014 * np.sin(rng.uniform(6, 11) * x + rng.uniform(0, 6)) + 0.05 * side**2
    forehead = ridges((y - 7.7 + bend) / rng.uniform(0.075, 0.11), 0.16) * near(0, 7.76, 0.4, 0.13)
    apart = rng.uniform(0.05, 0.075)
    tilt = rng.uniform(-0.1, 0.15) * (y - 7.45)
    glabella = np.exp(-(((side - apart + tilt) / 0.012) ** 2)) * near(0.05, 7.46, 0.2, 0.07)
    fan = np.arctan2(y - 7.27, side - 0.42) / rng.uniform(0.25, 0.4)
    crow = ridges(fan + rng.random(), 0.2) * near(0.62, 7.27, 0.09, 0.14) * step(side, 0.5, 0.54)
    fold = side - 0.2 - 0.42 * (7.0 - y)
    nasolabial = np.exp(-((fold / 0.02) ** 2)) + 0.35 * np.exp(-((fold / 0.06) ** 2))
    nasolabial = nasolabial * step(y, 6.55, 6.7) * step(-y, -7.02, -6.92)
    found = [forehead * front, glabella * front, crow * step(z, 0.6, 0.9), nasolabial * front]
    return (255 * np.clip(np.stack(found, -1), 0, 1) + 0.5).astype(np.uint8)


def crease_depths(arkit: Float[np.ndarray, "52"]) -> Float[np.ndarray, "4"]:
    """How deep each group is with an expression, in [0, 1]."""
    return np.clip(_PULL @ np.asarray(arkit, np.float32), 0, 1)
