"""Procedural skin: an RGBA texture from an identity's attributes and the surface maps.

Alpha is how much light reaches the place (the inside of the mouth lies in the dark). Places are
named by where they lie on the mesh at rest (x left, y up, z forward, decimetres).
"""

from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.beard import beard
from vasa_jax.data_pipeline.synthetic.drawing.maths import noise, step
from vasa_jax.typing import Float, UInt8

SIZE = 1024
PAINTED = ("cropped", "short", "quiff", "slick", "afro", "curly", "bowl", "bob", "long", "bun")
"""Styles of hair that colour the scalp too, below their shell."""
EYE = np.array([0.31, 7.285])
"""x and y of the left eye of the mesh at rest."""


class Maps(NamedTuple):
    """What each texel shows: its place (s, s, 3) on the mesh at rest, and masks in [0, 1]."""

    place: Float[np.ndarray, "s s 3"]
    lips: Float[np.ndarray, "s s"]
    eyelids: Float[np.ndarray, "s s"]
    ears: Float[np.ndarray, "s s"]
    mouth: Float[np.ndarray, "s s"]


def hairline(place: np.ndarray, height: float) -> np.ndarray:
    """Signed height over the edge of the hair; height in [0, 1] lifts it at the forehead."""
    x, y, z = np.moveaxis(place, -1, 0)
    front = 7.83 + 0.22 * height - 0.10 * np.exp(-((np.abs(x) - 0.5) ** 2) / 0.02)
    edge = np.interp(z, [0.05, 0.3, 0.55, 0.95, 1.2], [6.62, 6.95, 7.38, 0.0, 0.0])
    blend = step(z, 0.55, 0.95)
    edge = np.where(z > 0.55, (1 - blend) * 7.38 + blend * front, edge)
    # An ear is bare, however high it reaches.
    return y - edge - 2.0 * step(np.abs(x), 0.74, 0.78) * step(-y, -7.62, -7.5)


def _lines(identity, rng, side, y, z, near):
    """Shadows that set faces apart, and folds that come with age: strength and where."""
    age = identity.age
    front = step(z, 0.9, 1.2)
    crow = np.abs(np.sin(26 * (y - 7.28) / (0.3 + side))) < 0.25
    waves = 0.012 * np.sin(9 * side + rng.uniform(0, 6))
    brow_lines = step(np.cos((y - 7.75 + waves) * 2 * np.pi / 0.085), 0.6, 1.0)
    fold = np.exp(-(((side - 0.20 - 0.42 * (7.0 - y)) / 0.022) ** 2))
    fold *= step(y, 6.58, 6.7) * step(-y, -7.0, -6.93)
    return (
        (rng.uniform(0, 0.35) + 0.25 * age, near(0.30, 7.135, 0.16, 0.05, 0.9)),  # under eyes
        (rng.uniform(0, 0.5), near(0.31, 7.40, 0.2, 0.04, 0.9)),  # deep sockets
        (rng.uniform(0, 0.4), near(0.62, 6.80, 0.12, 0.16, 0.3)),  # hollow cheeks
        (rng.uniform(0, 0.3), near(0.16, 7.15, 0.045, 0.2, 1.0)),  # sides of the nose
        (rng.uniform(0, 0.35), near(0.0, 6.45, 0.16, 0.035, 0.9)),  # under the lip
        (0.15 * rng.random() + 0.6 * age, fold * front),
        (0.75 * age**1.5, brow_lines * near(0.0, 7.75, 0.42, 0.13, 0.9)),
        (0.6 * age**1.5, crow * near(0.58, 7.27, 0.07, 0.1, 0.6)),
    )


def paint(
    identity, maps: Maps, photo: UInt8[np.ndarray, "s s 3"] | None
) -> UInt8[np.ndarray, "s s 4"]:
    """The texture of a person. photo: a skin of the assets, used instead of the painted ground."""
    look, rng = identity.skin, np.random.default_rng((identity.seed, 11))
    x, y, z = np.moveaxis(maps.place, -1, 0)
    side = np.abs(x)
    colour: np.ndarray = np.broadcast_to(np.array(look.colour, np.float32), (SIZE, SIZE, 3)).copy()
    blotch, fine = noise(rng, SIZE, 24), noise(rng, SIZE, 256, 2)
    if photo is None:
        patchy, rough = rng.uniform(0.004, 0.018), rng.uniform(0.006, 0.02)
        colour *= (1 + patchy * blotch + rough * fine)[..., None]
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
    for _ in range(int(rng.choice(4, p=[0.5, 0.25, 0.15, 0.1]))):
        spot = np.hypot(x - rng.uniform(-0.55, 0.55), y - rng.uniform(6.4, 7.7))
        mole = step(-spot, -rng.uniform(0.018, 0.035), -0.01) * step(z, 0.8, 1.0)
        cover(0.7 * mole, np.array(look.colour) * 0.35)
    if photo is None:
        for amount, line in _lines(identity, rng, side, y, z, near):
            tint(np.clip(amount * line, 0, 1), (0.60, 0.50, 0.47))
    if look.stubble > 0:
        shadow = step(-y, -6.86, -6.62) * step(z, 0.45, 0.75) * step(y, 6.2, 6.4)
        shadow = np.maximum(shadow, near(0, 6.83, 0.28, 0.07, 1.1))
        grain = np.clip(noise(rng, SIZE, 450, 1), -1.5, 1.5)
        shadow *= (1 - maps.lips) * (0.7 + 0.2 * grain)
        cover(np.clip(look.stubble * shadow * 0.75, 0, 1), np.array(identity.brow_colour) * 0.9)
    if identity.beard:
        grain = cv2.GaussianBlur(noise(rng, SIZE, 480, 1), (0, 0), sigmaX=0.6, sigmaY=1.6)
        grain = np.clip(grain / grain.std(), -2, 2)
        grown = step(beard(identity.beard, maps.place) + 0.12 * grain, 0.2, 0.6) * (1 - maps.lips)
        ground = np.array(identity.brow_colour) * (1 + 0.22 * grain)[..., None]
        colour = colour + 0.94 * grown[..., None] * (ground - colour)
    if photo is None or look.lips > 0:
        shade = maps.lips * (1 + 0.06 * fine)
        cover(np.clip(shade * (0.75 if photo is None else look.lips), 0, 1), look.lip_colour)
    if identity.brows == "painted":
        heavy, arch = rng.uniform(0.3, 2.1), rng.uniform(0.0, 0.12)
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
        full = rng.uniform(0.45, 0.95)
        cover(np.clip(brow * full * (0.85 + 0.15 * strokes), 0, 0.95), identity.brow_colour)
    if identity.hair in PAINTED:
        ragged = 0.014 * noise(rng, SIZE, 200, 2)
        hair = step(hairline(maps.place, identity.cut.hairline) + ragged, -0.03, 0.05)
        lines = cv2.GaussianBlur(noise(rng, SIZE, 500, 1), (0, 0), sigmaX=0.7, sigmaY=7.0)
        lines = lines / lines.std()
        ground = np.array(identity.hair_colour) * (1 + 0.17 * lines + 0.07 * blotch)[..., None]
        alpha = hair * (0.72 if identity.hair == "cropped" else 0.95)
        colour = colour + alpha[..., None] * (ground - colour)
    inside = maps.mouth
    colour = colour + inside[..., None] * (np.array([0.38, 0.13, 0.12]) - colour)
    light = 1 - 0.7 * inside
    rgba = np.concatenate([colour, light[..., None]], -1)
    return (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8)
