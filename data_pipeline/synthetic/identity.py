"""Who a synthetic head is: everything about it that does not move, drawn from one seed."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from vasa_jax.data_pipeline.synthetic.assets import Shelf, list_assets

Colour = tuple[float, float, float]
"""sRGB in [0, 1]."""


class Light(NamedTuple):
    """Light in camera axes. key, fill: direction towards the light (unit vector, z < 0 is the
    camera's side) and colour times strength, linear; ambient: sky and ground colour, linear."""

    key: Colour
    key_colour: Colour
    fill: Colour
    fill_colour: Colour
    sky: Colour
    ground: Colour


class Background(NamedTuple):
    """kind 'plain', 'gradient' or 'noise'; first and second colour; angle of the gradient in
    radians; scale of the noise's largest blobs (share of the picture); seed of the noise."""

    kind: str
    first: Colour
    second: Colour
    angle: float
    scale: float
    seed: int


class Skin(NamedTuple):
    """texture: name of a skin of the assets, or "" for a painted one. colour: mean colour of the
    painted skin; hue, lightness: change of a texture's colours (turn of the red-yellow balance and
    factor). The rest are strengths in [0, 1] of what is painted over either."""

    texture: str
    colour: Colour
    hue: float
    lightness: float
    lips: float
    lip_colour: Colour
    blush: float
    freckles: float
    stubble: float
    age_spots: float
    makeup: float
    seed: int


class Identity(NamedTuple):
    """A person in front of a camera, in plain numbers and names.

    seed: of this person. shape: (target name, weight) pairs. age: 0 young adult, 1 old; sex: 0
    female, 1 male; ancestry: weights (african, asian, caucasian), sum 1; muscle, weight: in
    [-1, 1] about the average.
    eyes: texture name of the assets or ""; iris: colour of the painted one.
    brows, lashes, hair: proxy of the assets, or a painted style ("" none).
    hair_colour, brow_colour, shirt: sRGB. hairline: height of the painted hair's edge in [0, 1].
    distance: camera to resting place in head widths; log_scale: apparent size at rest (`Clip`);
    place: (x, y) in [-1, 1], where the middle between the eyes lies at rest.
    """

    seed: int
    shape: tuple[tuple[str, float], ...]
    age: float
    sex: float
    ancestry: tuple[float, float, float]
    muscle: float
    weight: float
    skin: Skin
    eyes: str
    iris: Colour
    brows: str
    lashes: str
    hair: str
    hair_colour: Colour
    brow_colour: Colour
    hairline: float
    shirt: Colour
    light: Light
    background: Background
    distance: float
    log_scale: float
    place: tuple[float, float]


def sample_identity(seed: int, assets: Path | None = None) -> Identity:
    """The person of a seed; the same seed and assets give the same person.

    assets: folder of MakeHuman's CC0 assets, in MakeHuman's own layout (skins/, eyes/, eyebrows/,
    eyelashes/, hair/); None paints everything. Raises UserError for a folder without them.
    """
    rng = np.random.default_rng((seed, 11))
    shelf = list_assets(assets) if assets is not None else Shelf()
    sex = float(np.clip(rng.choice([0.08, 0.92]) + rng.normal() * 0.12, 0, 1))
    age = float(rng.beta(0.9, 1.7))
    ancestry = rng.dirichlet([0.45, 0.45, 0.5])
    dark = float(np.clip(ancestry @ [0.92, 0.3, 0.14] + rng.normal() * 0.09, 0.03, 1))
    skin = _skin(rng, shelf, sex, age, ancestry, dark)
    hair_colour = _hair_colour(rng, age, dark)
    style = _hair(rng, shelf, sex, age)
    brow = np.array(hair_colour) * rng.uniform(0.5, 0.85)
    return Identity(
        seed=seed,
        shape=_shape(rng),
        age=age,
        sex=sex,
        ancestry=tuple(float(a) for a in ancestry),
        muscle=float(np.clip(rng.normal() * 0.45 + 0.2 * (sex - 0.5), -1, 1)),
        weight=float(np.clip(rng.normal() * 0.5, -1, 1)),
        skin=skin,
        eyes=_pick(rng, shelf.eyes),
        iris=_colour(_IRIS[rng.choice(len(_IRIS), p=_iris_odds(dark))], rng, 0.06),
        brows=_pick(rng, shelf.brows),
        lashes=_pick(rng, shelf.lashes),
        hair=style,
        hair_colour=hair_colour,
        brow_colour=_colour(tuple(brow), rng, 0.02),
        hairline=float(rng.beta(2, 2 + 2 * (1 - sex)) * (0.4 + 0.6 * age)),
        shirt=_colour(tuple(rng.uniform(0.06, 0.85, 3)), rng, 0.05),
        light=_light(rng),
        background=_background(rng),
        distance=float(np.exp(rng.uniform(np.log(3.2), np.log(9.0)))),
        log_scale=float(np.clip(rng.normal() * 0.13 - 0.12, -0.42, 0.2)),
        place=(float(rng.normal() * 0.05), float(-0.12 + rng.normal() * 0.06)),
    )


_ONE_OF = {
    "head": ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square",
             "triangular"),
    "ear-shape": ("pointed", "round", "square", "triangle"),
}  # fmt: skip
_OPPOSITES = (
    ("incr", "decr"), ("up", "down"), ("out", "in"), ("forward", "backward"),
    ("convex", "concave"), ("uncompress", "compress"),
)  # fmt: skip
_STRENGTH = {
    "chin-bones": 0.5, "chin-cleft": 0.5, "chin-height": 0.4, "chin-jaw-drop": 0.5,
    "chin-prognathism": 0.35, "chin-prominent": 0.45, "chin-width": 0.55,
    "eyebrows-angle": 0.55, "eyebrows-trans:up": 0.5, "eyebrows-trans:forward": 0.4,
    "forehead-nubian": 0.5, "forehead-scale-vert": 0.45, "forehead-temple": 0.5,
    "forehead-trans": 0.4, "head-age": 0.35, "head-fat": 0.5, "head-scale-depth": 0.3,
    "head-scale-horiz": 0.4, "head-scale-vert": 0.4, "cheek-bones": 0.55, "cheek-inner": 0.5,
    "cheek-trans": 0.5, "cheek-volume": 0.6, "ear-flap": 0.4, "ear-lobe": 0.5, "ear-rot": 0.4,
    "ear-scale": 0.5, "ear-scale-vert": 0.4, "ear-trans:up": 0.4, "ear-wing": 0.5,
    "eye-bag": 0.5, "eye-bag-height": 0.4, "eye-corner1": 0.5, "eye-corner2": 0.5,
    "eye-epicanthus": 0.5, "eye-eyefold-angle": 0.4, "eye-eyefold:convex": 0.4,
    "eye-eyefold:up": 0.4, "eye-height1": 0.35, "eye-height2": 0.35, "eye-height3": 0.35,
    "eye-push1": 0.35, "eye-push2": 0.35, "eye-scale": 0.3, "eye-trans:out": 0.45,
    "eye-trans:up": 0.3, "mouth-angles": 0.35, "mouth-cupidsbow": 0.5,
    "mouth-cupidsbow-width": 0.5, "mouth-dimples": 0.4, "mouth-laugh-lines": 0.5,
    "mouth-lowerlip-height": 0.45, "mouth-lowerlip-volume": 0.5, "mouth-lowerlip-width": 0.4,
    "mouth-philtrum-volume": 0.5, "mouth-scale-depth": 0.35, "mouth-scale-horiz": 0.45,
    "mouth-scale-vert": 0.4, "mouth-trans:up": 0.4, "mouth-trans:forward": 0.35,
    "mouth-upperlip-height": 0.45, "mouth-upperlip-volume": 0.5, "mouth-upperlip-width": 0.4,
    "neck-double": 0.4, "neck-scale-depth": 0.35, "neck-scale-horiz": 0.4, "nose-base": 0.5,
    "nose-compression": 0.5, "nose-curve": 0.6, "nose-flaring": 0.5, "nose-greek": 0.5,
    "nose-hump": 0.6, "nose-nostrils-angle": 0.5, "nose-nostrils-width": 0.5, "nose-point": 0.5,
    "nose-point-width": 0.55, "nose-scale-depth": 0.5, "nose-scale-horiz": 0.5,
    "nose-scale-vert": 0.5, "nose-septumangle": 0.5, "nose-trans:up": 0.45,
    "nose-trans:forward": 0.4, "nose-volume": 0.5, "nose-width1": 0.55, "nose-width2": 0.55,
    "nose-width3": 0.55,
}  # fmt: skip
"""Standard deviation of each pair of opposite targets; `:` names the direction where a stem has
several. Both sides of a face get nearly the same."""
_ASYMMETRY = ("brown-1", "brown-2", "cheek-1", "cheek-2", "ear-1", "ear-2", "eye-1", "eye-2",
              "eye-3", "jaw-1", "jaw-2", "mouth-1", "mouth-2", "nose-1", "nose-2", "nose-3",
              "temple-1", "top-1")  # fmt: skip
_IRIS = ((0.21, 0.11, 0.05), (0.33, 0.19, 0.09), (0.38, 0.31, 0.16), (0.30, 0.36, 0.22),
         (0.30, 0.43, 0.55), (0.42, 0.48, 0.52))  # fmt: skip
_SKIN = ((0.93, 0.76, 0.67), (0.87, 0.67, 0.54), (0.76, 0.55, 0.41), (0.59, 0.39, 0.27),
         (0.42, 0.27, 0.19), (0.30, 0.19, 0.14))  # fmt: skip
_HAIR = ((0.05, 0.04, 0.035), (0.11, 0.07, 0.05), (0.22, 0.14, 0.09), (0.36, 0.22, 0.12),
         (0.55, 0.40, 0.23), (0.72, 0.58, 0.38), (0.42, 0.17, 0.08))  # fmt: skip


def _shape(rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
    shape = []
    for stem, deviation in _STRENGTH.items():
        # A heavy middle and heavy tails: most features are near the mean, some stand out.
        size = float(np.clip(rng.normal() * deviation * rng.choice([0.35, 1.0, 1.45]), -1, 1))
        stem, _, first = stem.partition(":")
        pair = next(p for p in _OPPOSITES if p[0] == (first or _first_of(stem)))
        name = f"{stem}-{pair[0] if size > 0 else pair[1]}"
        if stem.startswith(("cheek", "ear", "eye-")):
            tilt = float(rng.normal() * 0.04)
            shape += [(f"l-{name}", abs(size) + tilt), (f"r-{name}", abs(size) - tilt)]
        else:
            shape.append((name, abs(size)))
    shape.append((f"head-{rng.choice(_ONE_OF['head'])}", float(rng.uniform(0, 0.75))))
    form, amount = rng.choice(_ONE_OF["ear-shape"]), float(rng.uniform(0, 0.7))
    shape += [(f"{side}-ear-shape-{form}", amount) for side in "lr"]
    shape += [
        (f"asym-{n}-{rng.choice(['l', 'r'])}", float(rng.beta(1, 3) * 0.45)) for n in _ASYMMETRY
    ]
    return tuple(shape)


def _first_of(stem: str) -> str:
    up = ("eyebrows-angle", "chin-jaw", "cheek-trans", "corner", "mouth-angles", "nose-base",
          "nostrils-angle", "nose-point")  # fmt: skip
    if stem.endswith(("volume", "width", "jaw-drop")) or "laugh" in stem or "dimples" in stem:
        return "out" if "laugh" in stem or "dimples" in stem else "incr"
    if any(word in stem for word in up):
        return "up"
    if stem == "eye-eyefold-angle":
        return "up"
    if stem in ("nose-curve",):
        return "convex"
    if stem == "nose-compression":
        return "uncompress"
    if stem in ("ear-rot", "forehead-trans"):
        return "forward"
    return "out" if stem in ("eye-epicanthus", "eye-push1", "eye-push2") else "incr"


def _pick(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    draw = rng.random()  # drawn even when there is nothing to pick, so that the rest stays the same
    return names[int(draw * len(names))] if names else ""


def _colour(base: Colour, rng: np.random.Generator, spread: float) -> Colour:
    value = np.asarray(base) * (1 + rng.normal() * spread) + rng.normal(size=3) * spread / 3
    return tuple(float(v) for v in np.clip(value, 0.01, 0.98))


def _skin(
    rng: np.random.Generator,
    shelf: Shelf,
    sex: float,
    age: float,
    ancestry: np.ndarray,
    dark: float,
) -> Skin:
    place = np.clip(dark, 0, 1) * (len(_SKIN) - 1)
    low = min(int(place), len(_SKIN) - 2)
    colour = np.array(_SKIN[low]) * (1 - place + low) + np.array(_SKIN[low + 1]) * (place - low)
    fitting = shelf.fitting_skins(sex, age, ancestry)
    makeup = float(rng.beta(1, 1.2)) if sex < 0.5 and rng.random() < 0.6 else 0.0
    red = _colour((0.62, 0.24, 0.25), rng, 0.15)
    return Skin(
        texture=_pick(rng, fitting),
        colour=_colour(tuple(colour), rng, 0.035),
        hue=float(rng.normal() * 0.35),
        lightness=float(np.exp(rng.normal() * 0.1)),
        lips=float(rng.uniform(0.35, 0.8)),
        lip_colour=red,
        blush=float(rng.beta(2, 3)),
        freckles=float(rng.beta(1, 2.5) * (1 - dark)) if rng.random() < 0.4 else 0.0,
        stubble=float(rng.beta(1.2, 1.5)) if sex > 0.5 and rng.random() < 0.7 else 0.0,
        age_spots=float(age * rng.uniform(0.3, 1)),
        makeup=makeup,
        seed=int(rng.integers(2**31)),
    )


def _iris_odds(dark: float) -> np.ndarray:
    light = np.array([0.16, 0.18, 0.14, 0.12, 0.24, 0.16])
    brown = np.array([0.6, 0.35, 0.05, 0.0, 0.0, 0.0])
    share = np.clip(dark / 0.35, 0, 1)
    return light * (1 - share) + brown * share


def _hair_colour(rng: np.random.Generator, age: float, dark: float) -> Colour:
    odds = np.array([0.1, 0.18, 0.22, 0.2, 0.14, 0.08, 0.08]) * (1 - min(dark / 0.4, 1))
    odds = odds + np.array([0.55, 0.33, 0.1, 0.02, 0, 0, 0]) * min(dark / 0.4, 1)
    colour = np.array(_HAIR[rng.choice(len(_HAIR), p=odds / odds.sum())])
    grey = float(np.clip((age - 0.45) * 1.6 + rng.normal() * 0.15, 0, 0.95))
    return _colour(tuple(colour * (1 - grey) + np.array([0.66, 0.65, 0.63]) * grey), rng, 0.08)


STYLES = ("stubble", "short", "afro", "long")
"""Painted hair: a shaved head's shadow, a short coat, a thick one, and the mesh's long volume."""


def _hair(rng: np.random.Generator, shelf: Shelf, sex: float, age: float) -> str:
    bald, painted, draw = rng.random(), rng.random(), rng.random()
    if bald < (0.04 + 0.12 * age if sex > 0.5 else 0.01):
        return "" if draw < 0.5 else "stubble"
    names = shelf.fitting_hair(sex)
    if names and painted < 0.8:
        return names[int(draw * len(names))]
    odds = (0.2, 0.55, 0.2, 0.05) if sex > 0.5 else (0.04, 0.24, 0.2, 0.52)
    return STYLES[int(np.searchsorted(np.cumsum(odds), draw * 0.999))]


def _unit(*vector: float) -> Colour:
    length = float(np.sqrt(sum(v * v for v in vector)))
    return tuple(float(v / length) for v in vector)


def _tint(rng: np.random.Generator, warmth: float, strength: float) -> Colour:
    warm = np.array([1.0, 0.93, 0.84]) * max(warmth, 0) + np.array([0.87, 0.94, 1.0]) * max(-warmth, 0)
    neutral = np.ones(3) * (1 - abs(warmth))
    return tuple(float(v) for v in (warm + neutral) * strength)


def _light(rng: np.random.Generator) -> Light:
    side = rng.choice([-1.0, 1.0])
    angle, height = rng.uniform(0.1, 1.15), rng.uniform(-0.1, 0.85)
    key = _unit(side * np.sin(angle), -np.sin(height), -np.cos(angle))
    fill = _unit(-side * rng.uniform(0.5, 1), rng.uniform(-0.4, 0.2), -rng.uniform(0.3, 1))
    strength, warmth = rng.uniform(0.75, 1.15), rng.uniform(-0.6, 1.0)
    sky = rng.uniform(0.2, 0.42)
    return Light(
        key=key,
        key_colour=_tint(rng, float(warmth), float(strength)),
        fill=fill,
        fill_colour=_tint(rng, float(-warmth * 0.6), float(rng.uniform(0.08, 0.45))),
        sky=_tint(rng, float(rng.uniform(-0.7, 0.3)), float(sky)),
        ground=_tint(rng, float(rng.uniform(-0.2, 0.7)), float(sky * rng.uniform(0.35, 0.8))),
    )


def _background(rng: np.random.Generator) -> Background:
    base = rng.uniform(0.05, 0.95)
    first = np.clip(base + rng.normal(size=3) * 0.12, 0.02, 0.98)
    second = np.clip(first + rng.normal() * 0.18 + rng.normal(size=3) * 0.08, 0.02, 0.98)
    return Background(
        kind=str(rng.choice(["plain", "gradient", "noise"], p=[0.2, 0.35, 0.45])),
        first=tuple(float(v) for v in first),
        second=tuple(float(v) for v in second),
        angle=float(rng.uniform(0, 2 * np.pi)),
        scale=float(rng.uniform(0.1, 0.6)),
        seed=int(rng.integers(2**31)),
    )
