"""Painted skin: an RGBA texture from an identity's numbers and maps of the head's surface.

Alpha is how much light reaches the place (the inside of the mouth lies in the dark). Places are
named by where they lie on the mesh at rest (x left, y up, z forward, decimetres).
"""

from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax.typing import Float, UInt8

SIZE = 1024
EYE = np.array([0.31, 7.285])
"""x and y of the left eye of the mesh at rest."""


class Maps(NamedTuple):
    """What each texel shows: its place (s, s, 3) on the mesh at rest, and masks in [0, 1]."""

    place: Float[np.ndarray, "s s 3"]
    lips: Float[np.ndarray, "s s"]
    eyelids: Float[np.ndarray, "s s"]
    ears: Float[np.ndarray, "s s"]
    mouth: Float[np.ndarray, "s s"]


def step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 3) -> np.ndarray:
    """Smooth noise about 0, standard deviation 1, its largest features size / cells wide."""
    total = np.zeros((size, size), np.float32)
    for k in range(octaves):
        n = min(cells * 2**k, size)
        grid = rng.standard_normal((n, n)).astype(np.float32)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) / 2**k
    return total / total.std()


def hairline(place: np.ndarray, height: float) -> np.ndarray:
    """Signed height over the edge of the hair; height in [0, 1] lifts it at the forehead."""
    x, y, z = np.moveaxis(place, -1, 0)
    front = 7.83 + 0.22 * height - 0.10 * np.exp(-((np.abs(x) - 0.5) ** 2) / 0.02)
    edge = np.interp(z, [0.05, 0.3, 0.55, 0.95, 1.2], [6.62, 6.95, 7.38, 0.0, 0.0])
    blend = step(z, 0.55, 0.95)
    edge = np.where(z > 0.55, (1 - blend) * 7.38 + blend * front, edge)
    # An ear is bare, however high it reaches.
    return y - edge - 2.0 * step(np.abs(x), 0.74, 0.78) * step(-y, -7.62, -7.5)


def paint(
    identity, maps: Maps, photo: UInt8[np.ndarray, "s s 3"] | None
) -> UInt8[np.ndarray, "s s 4"]:
    """The texture of a person. photo: a skin of the assets, used instead of the painted ground."""
    look, rng = identity.skin, np.random.default_rng((identity.seed, 11))
    x, y, z = np.moveaxis(maps.place, -1, 0)
    side = np.abs(x)
    colour = np.broadcast_to(np.array(look.colour, np.float32), (SIZE, SIZE, 3)).copy()
    blotch, fine = noise(rng, SIZE, 24), noise(rng, SIZE, 256, 2)
    if photo is None:
        colour *= (1 + 0.014 * blotch + 0.018 * fine)[..., None]
    else:
        colour = photo.astype(np.float32) / 255

    def near(cx, cy, wide, high, forward=0.6):
        return np.exp(-(((side - cx) / wide) ** 2) - ((y - cy) / high) ** 2) * step(
            z, forward, forward + 0.3
        )

    def tint(amount, by):
        nonlocal colour
        colour = colour * (1 + amount[..., None] * (np.array(by, np.float32) - 1))

    def cover(amount, by):
        nonlocal colour
        colour = colour + amount[..., None] * (np.array(by, np.float32) - colour)

    if photo is None:
        warm = (
            0.8 * near(0, 7.0, 0.13, 0.16, 1.2) + 0.7 * maps.ears + 0.4 * near(0, 6.33, 0.2, 0.12)
        )
        tint(np.clip(warm, 0, 1), (1.05, 0.86, 0.84))
        tint(0.5 * near(0.3, 7.13, 0.18, 0.07, 1.0), (0.86, 0.8, 0.82))
        tint(0.35 * maps.eyelids, (0.93, 0.82, 0.8))
    tint(look.blush * near(0.48, 6.97, 0.2, 0.17), (1.03, 0.84, 0.83))
    tint(look.makeup * np.maximum(0.8 * maps.eyelids * step(y, 7.27, 7.33), 0), (0.62, 0.5, 0.55))
    if look.freckles > 0:
        spots = step(noise(rng, SIZE, 420, 1), 1.9, 2.4)
        tint(
            look.freckles * spots * np.clip(near(0.3, 7.0, 0.45, 0.25) * 1.5, 0, 1),
            (0.72, 0.6, 0.52),
        )
    if look.age_spots > 0:
        tint(
            look.age_spots * step(noise(rng, SIZE, 90, 2), 1.3, 2.4) * step(z, 0.3, 0.6),
            (0.85, 0.78, 0.72),
        )
    if look.stubble > 0:
        beard = step(-y, -6.86, -6.62) * step(z, 0.45, 0.75) * step(y, 6.2, 6.4)
        beard = np.maximum(beard, near(0, 6.83, 0.28, 0.07, 1.1))
        grain = np.clip(noise(rng, SIZE, 450, 1), -1.5, 1.5)
        beard *= (1 - maps.lips) * (0.7 + 0.2 * grain)
        cover(np.clip(look.stubble * beard * 0.75, 0, 1), np.array(identity.brow_colour) * 0.9)
    if photo is None or look.lips > 0:
        shade = maps.lips * (1 + 0.06 * fine)
        cover(np.clip(shade * (0.75 if photo is None else look.lips), 0, 1), look.lip_colour)
    if identity.brows == "painted":
        heavy, arch = rng.uniform(0.45, 1.9), rng.uniform(0.01, 0.1)
        lift, tilt, inner = (
            rng.uniform(-0.02, 0.035),
            rng.uniform(-0.05, 0.05),
            rng.uniform(0, 0.08),
        )
        along = np.clip((side - 0.1) / 0.5, 0, 1)
        bend = 7.455 + lift + arch * np.sin(np.pi * along**0.75) + tilt * (along - 0.4)
        thick = heavy * np.interp(side, [0.09, 0.16, 0.42, 0.61], [0.012, 0.030, 0.026, 0.004])
        strokes = noise(rng, SIZE, 330, 1)
        brow = step(thick - np.abs(y - bend), -0.014, 0.014) * step(z, 0.8, 1.0)
        brow *= step(side, 0.05 + inner, 0.12 + inner) * (side < 0.63)
        cover(np.clip(brow * (0.72 + 0.13 * strokes), 0, 0.92), identity.brow_colour)
    if identity.hair in ("cropped", "short", "full"):
        ragged = 0.014 * noise(rng, SIZE, 200, 2)
        hair = step(hairline(maps.place, identity.hairline) + ragged, -0.03, 0.05)
        lines = cv2.GaussianBlur(noise(rng, SIZE, 500, 1), (0, 0), sigmaX=0.7, sigmaY=7.0)
        lines = lines / lines.std()
        ground = np.array(identity.hair_colour) * (1 + 0.17 * lines + 0.07 * blotch)[..., None]
        alpha = hair * (0.72 if identity.hair == "cropped" else 0.98)
        colour = colour + alpha[..., None] * (ground - colour)
    inside = maps.mouth
    colour = colour + inside[..., None] * (np.array([0.38, 0.13, 0.12]) - colour)
    light = 1 - 0.82 * inside
    rgba = np.concatenate([colour, light[..., None]], -1)
    return (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8)
