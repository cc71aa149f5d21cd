"""Random identities: `sample_identity` draws every attribute of a person from one seed."""

from pathlib import Path

import numpy as np

from vasa_jax.angles import gaze_directions
from vasa_jax.data_pipeline.synthetic.drawing.assets import Assets, find_assets
from vasa_jax.data_pipeline.synthetic.drawing.beard import STYLES as BEARDS
from vasa_jax.data_pipeline.synthetic.drawing.glasses import RIMS
from vasa_jax.data_pipeline.synthetic.drawing.glasses import SHAPES as LENSES
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.shape import draw_shape
from vasa_jax.data_pipeline.synthetic.identity import (
    Background,
    Cut,
    Glasses,
    Identity,
    Light,
    Mouth,
    Skin,
)

# Mean skin colours (sRGB) from dark to light; a person's lies between two neighbours.
TONES = np.array([
    [0.27, 0.17, 0.12], [0.40, 0.26, 0.18], [0.55, 0.38, 0.27], [0.70, 0.51, 0.38],
    [0.80, 0.62, 0.49], [0.88, 0.71, 0.60], [0.92, 0.78, 0.69],
])  # fmt: skip
_TONE_OF = {"african": (0.0, 2.8), "asian": (2.2, 5.6), "caucasian": (3.2, 6.0)}
HAIR = np.array([
    [0.05, 0.04, 0.04], [0.10, 0.07, 0.05], [0.20, 0.12, 0.07], [0.36, 0.22, 0.12],
    [0.55, 0.38, 0.20], [0.72, 0.57, 0.34], [0.42, 0.16, 0.08], [0.62, 0.60, 0.58],
])  # fmt: skip
IRIS = np.array([
    [0.30, 0.18, 0.11], [0.42, 0.26, 0.14], [0.52, 0.37, 0.20], [0.44, 0.50, 0.30],
    [0.36, 0.52, 0.64], [0.48, 0.62, 0.76], [0.54, 0.58, 0.60],
])  # fmt: skip
COVERS_AN_EYE = ("bob02", "braid01", "short03")
"""Hair behind which gaze and blinks would be labelled and not seen."""
_CUTS = (
    {
        "": 2,
        "cropped": 4,
        "short": 10,
        "quiff": 4,
        "slick": 6,
        "afro": 9,
        "curly": 10,
        "bowl": 7,
        "bob": 18,
        "long": 20,
        "bun": 10,
    },
    {
        "": 10,
        "cropped": 15,
        "short": 20,
        "quiff": 12,
        "slick": 11,
        "afro": 8,
        "curly": 9,
        "bowl": 5,
        "bob": 3,
        "long": 5,
        "bun": 2,
    },
)
"""Chances of painted hair, of women and of men, in a hundred."""
_FRINGED, _LEAST_FRINGE = {"bowl": 1.0}, {"bowl": 0.4, "bob": 0.3, "long": 0.3}
_BESPECTACLED = 0.12, 0.45
"""Share of people with glasses, of young adults and of the old."""
_DARK_EYED = np.array([0.4, 0.35, 0.15, 0.04, 0.03, 0.02, 0.01])
_LIGHT_EYED = np.array([0.12, 0.18, 0.18, 0.14, 0.14, 0.14, 0.10])


def sample_identity(seed: int, assets: Path | None = None) -> Identity:
    """The person of a seed; the same seed and assets give the same person.

    assets: folder of MakeHuman's CC0 assets, in MakeHuman's own layout (skins/, eyes/, eyebrows/,
    eyelashes/, hair/); None paints everything. Raises UserError for a folder without them.
    """
    rng = np.random.default_rng((seed, 7))
    found = None if assets is None else find_assets(Path(assets))
    ancestry = rng.dirichlet([0.12, 0.12, 0.12])
    main = ("african", "asian", "caucasian")[int(ancestry.argmax())]
    sex = float(np.clip(rng.choice([0.0, 1.0]) + 0.15 * rng.standard_normal(), 0, 1))
    age = float(np.clip(rng.beta(0.8, 1.2), 0, 1))
    tone = rng.uniform(*_TONE_OF[main])
    k = int(min(tone, len(TONES) - 2))
    colour = TONES[k] + (tone - k) * (TONES[k + 1] - TONES[k])
    colour = np.clip(colour * (1 + 0.035 * rng.standard_normal(3)), 0.04, 0.98)
    dark = main != "caucasian"
    hair_row = int(rng.choice(len(HAIR), p=_hair_chances(dark, age)))
    hair_colour = np.clip(HAIR[hair_row] * rng.uniform(0.8, 1.25), 0.02, 0.95)
    iris = IRIS[int(rng.choice(len(IRIS), p=_DARK_EYED if dark else _LIGHT_EYED))]
    texture, eyes, brows, lashes, hair = _worn(rng, found, main, sex, age)
    male = sex > 0.5
    beard = str(rng.choice(BEARDS)) if male and rng.random() < 0.45 else ""
    lips = np.clip(colour * np.array([0.98, 0.66, 0.66]) + 0.03 * rng.standard_normal(3), 0, 1)
    if not male and rng.random() < 0.35:
        lips = np.clip(np.array([0.62, 0.18, 0.22]) * rng.uniform(0.5, 1.25, 3), 0, 1)
    skin = Skin(
        texture=texture,
        colour=_colour(colour),
        hue=float(rng.uniform(-0.5, 0.5)),
        lightness=float(rng.uniform(0.82, 1.14)),
        lips=0.0 if male else float(rng.choice([0.0, 0.5, 0.8])),
        lip_colour=_colour(lips),
        blush=float(rng.uniform(0.0, 0.6)),
        freckles=float(rng.uniform(0.4, 1.0)) if not dark and rng.random() < 0.3 else 0.0,
        stubble=float(rng.uniform(0.15, 1.0)) if male and not beard and rng.random() < 0.5 else 0.0,
        age_spots=float(age * rng.uniform(0.0, 1.0)),
        creases=_creases(seed, age),
        makeup=float(rng.uniform(0.3, 1.0)) if not male and rng.random() < 0.5 else 0.0,
        seed=int(rng.integers(2**31)),
    )
    return Identity(
        seed=seed,
        shape=draw_shape(load_mesh(), rng),
        age=age,
        sex=sex,
        ancestry=_triple(ancestry),
        muscle=float(rng.uniform(-0.5, 0.7)),
        weight=float(np.clip(0.6 * rng.standard_normal(), -0.9, 1.0)),
        skin=skin,
        eyes=eyes,
        iris=_colour(iris * rng.uniform(0.8, 1.25)),
        brows=brows,
        lashes=lashes,
        hair=hair,
        cut=_cut(rng, hair, male, age),
        beard=beard,
        beard_depth=float(rng.uniform(0.01, 0.16 if beard == "long" else 0.05)),
        hair_colour=_colour(hair_colour),
        brow_colour=_colour(np.clip(0.75 * hair_colour + 0.04, 0.02, 0.6)),
        shirt=_colour(rng.uniform(0.05, 0.85) * (1 + 0.5 * rng.uniform(-1, 1, 3))),
        mouth=_mouth(seed, age, sex, colour),
        glasses=_glasses(seed, age, hair_colour),
        light=_light(rng),
        background=_background(rng),
        distance=float(rng.uniform(4.5, 9.0)),
        log_scale=float(np.clip(0.12 * rng.standard_normal(), -0.3, 0.3)),
        place=(float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.22, 0.0))),
    )


def _creases(seed: int, age: float) -> float:
    rng = np.random.default_rng((seed, 31))
    return float(np.clip((0.22 + 0.6 * age) * rng.uniform(0.6, 1.4), 0, 1))


def _cut(rng, hair: str, male: bool, age: float) -> Cut:
    fringed = hair in ("bowl", "short", "bob", "long", "curly")
    high = rng.beta(1.2, 2.0) + (0.35 * age if male else 0) + (0.3 if hair == "slick" else 0)
    ends = {"bowl": (6.9, 7.25), "bob": (6.1, 6.7), "long": (5.1, 5.9)}.get(hair, (6.0, 6.0))
    return Cut(
        hairline=float(np.clip(high, 0, 1)),
        volume=float(rng.random()),
        fringe=_LEAST_FRINGE.get(hair, 0.0) + 0.6 * float(rng.random())
        if fringed and rng.random() < _FRINGED.get(hair, 0.4)
        else 0.0,
        sweep=float(rng.uniform(-1, 1)),
        end=float(rng.uniform(*ends)),
        opening=float(rng.uniform(1.2, 1.85)),
        flare=float(rng.uniform(-0.12, 0.35)),
        curl=float(rng.uniform(0, 0.2)),
        wave=float(rng.choice([0.0, 0.3, 1.0])),
        contrast=float(rng.uniform(0.5, 1.2)),
    )


def _mouth(seed: int, age: float, sex: float, skin) -> Mouth:
    rng = np.random.default_rng((seed, 23))
    # From bright to worn: lightness and yellowness go together, and grow with age.
    worn = float(np.clip(rng.beta(1.5, 2.5) + 0.35 * age, 0, 1))
    teeth = (1 - worn) * np.array([0.98, 0.96, 0.93]) + worn * np.array([0.88, 0.81, 0.67])
    pink = np.array([0.74, 0.45, 0.44]) * (0.75 + 0.35 * float(np.mean(skin)))
    dark = rng.uniform(0.75, 1.1)
    missing = []
    if rng.random() < 0.04 + 0.12 * age:
        jaw = str(rng.choice(["upper", "lower"]))
        missing = [(jaw, int(n)) for n in rng.choice(10, int(rng.integers(1, 3)), replace=False)]
    young = age < 0.35
    shown = 0.034 - 0.022 * age - 0.008 * sex + 0.01 * rng.standard_normal()
    return Mouth(
        seed=int(rng.integers(2**31)),
        teeth=_colour(teeth * rng.uniform(0.96, 1.03)),
        gums=_colour(pink * rng.uniform(0.85, 1.1, 3)),
        tongue=_colour(np.array([0.70, 0.40, 0.39]) * dark * rng.uniform(0.92, 1.08, 3)),
        show=float(np.clip(shown, 0.0, 0.055)),
        overbite=float(np.clip(0.022 + 0.010 * rng.standard_normal(), 0.0, 0.045)),
        size=float(np.clip(1.08 + 0.06 * rng.standard_normal(), 0.94, 1.25)),
        gap=float(max(0.0, rng.normal(-0.006, 0.005))),
        diastema=float(rng.uniform(0.006, 0.022)) if rng.random() < 0.08 else 0.0,
        crooked=float(rng.beta(1.2, 3.5)),
        missing=tuple(missing),
        braces=str(rng.choice(["upper", "both"])) if young and rng.random() < 0.06 else "",
        tongue_low=float(np.clip(rng.normal(0.02, 0.025), -0.03, 0.07)),
        tongue_back=float(rng.uniform(0.0, 0.09)),
    )


def _glasses(seed: int, age: float, hair) -> Glasses | None:
    rng = np.random.default_rng((seed, 29))
    if rng.random() > _BESPECTACLED[0] + (_BESPECTACLED[1] - _BESPECTACLED[0]) * age:
        return None
    rim = str(rng.choice(RIMS, p=[0.7, 0.18, 0.12]))
    bold = rim == "full" and rng.random() < 0.5  # acetate; else wire
    metal = np.array([[0.75, 0.72, 0.68], [0.62, 0.50, 0.30], [0.10, 0.10, 0.11]])
    colour = metal[int(rng.integers(3))]
    if bold:
        colours = [[0.03, 0.03, 0.03], [0.25, 0.13, 0.06], rng.uniform(0.05, 0.7, 3), hair]
        colour = np.array(colours[int(rng.integers(4))])
    dark = float(rng.uniform(0.0, 0.04) if rng.random() < 0.85 else rng.uniform(0.08, 0.25))
    width = float(np.clip(rng.normal(0.51, 0.03), 0.44, 0.58))
    return Glasses(
        shape=str(rng.choice(list(LENSES))),
        rim=rim,
        width=width,
        height=width * float(rng.uniform(0.62, 0.9)),
        bridge=float(np.clip(rng.normal(0.18, 0.015), 0.14, 0.22)),
        low=float(rng.uniform(-0.01, 0.07)),
        thickness=float(rng.uniform(0.014, 0.024) if bold else rng.uniform(0.006, 0.010)),
        colour=_colour(colour),
        shine=float(rng.uniform(0.2, 1.5)),
        tint=_colour(rng.uniform(0.2, 0.6) * (1 + 0.3 * rng.uniform(-1, 1, 3))),
        dark=dark,
        glare=float(rng.uniform(0.05, 0.4)) if rng.random() < 0.5 else 0.0,
        glare_place=float(rng.uniform(-0.7, 0.7)),
    )


def _colour(values) -> tuple[float, float, float]:
    r, g, b = (round(float(np.clip(v, 0, 1)), 4) for v in values)
    return r, g, b


def _triple(values) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _hair_chances(dark: bool, age: float) -> np.ndarray:
    grey = 0.75 * max(0.0, age - 0.45)
    chances = np.array([5, 4, 2, 0.3, 0.1, 0.05, 0.05, 0] if dark else [1, 2, 3, 3, 2, 1.5, 0.8, 0])
    chances = chances / chances.sum() * (1 - grey)
    chances[-1] = grey
    return chances


def _worn(rng, assets: Assets | None, main: str, sex: float, age: float):
    chances = _CUTS[0 if sex < 0.5 else 1]
    painted = str(rng.choice(list(chances), p=np.array([*chances.values()]) / 100))
    if assets is None:
        return "", "", "painted", "painted", painted
    kind = "female" if sex < 0.5 else "male"
    fitting = [name for name in assets.skins if f"_{main}_{kind}" in name]
    fitting = fitting or [name for name in assets.skins if name.rpartition("_")[2].startswith(kind)]
    texture = str(rng.choice(fitting)) if fitting and rng.random() < 0.7 else ""
    cuts = sorted(set(assets.hair) - set(COVERS_AN_EYE))
    hair = str(rng.choice(cuts)) if cuts and rng.random() < 0.65 else painted
    brows = str(rng.choice(sorted(assets.brows))) if assets.brows else "painted"
    lashes = str(rng.choice(sorted(assets.lashes))) if assets.lashes else "painted"
    eyes = str(rng.choice(sorted(assets.eyes))) if assets.eyes else ""
    return texture, eyes, brows, lashes, hair


def _light(rng) -> Light:
    def towards(yaw, pitch):
        return tuple(float(v) for v in gaze_directions(np.array([yaw, pitch])))

    warm = 1 + 0.07 * rng.uniform(-1, 1) * np.array([1.0, 0.1, -1.0])
    side = rng.choice([-1, 1])
    key = rng.uniform(0.5, 0.9) * warm
    fill = rng.uniform(0.08, 0.4) * (1 + 0.12 * rng.uniform(-1, 1) * np.array([-1.0, 0.0, 1.0]))
    sky = rng.uniform(0.2, 0.36) * (1 + 0.06 * rng.uniform(-1, 1, 3))
    return Light(
        key=towards(side * rng.uniform(0.1, 1.1), rng.uniform(0.1, 0.8)),
        key_colour=_triple(key),
        fill=towards(-side * rng.uniform(0.4, 1.3), rng.uniform(-0.2, 0.4)),
        fill_colour=_triple(fill),
        sky=_triple(sky),
        ground=_triple(sky * rng.uniform(0.35, 0.7)),
    )


def _background(rng) -> Background:
    kind = str(rng.choice(["plain", "gradient", "noise"]))
    base = rng.uniform(0.08, 0.85)
    first = _colour(np.clip(base + 0.15 * rng.uniform(-1, 1, 3), 0, 1))
    second = _colour(np.clip(base + rng.uniform(-0.35, 0.35) + 0.15 * rng.uniform(-1, 1, 3), 0, 1))
    return Background(
        kind,
        first,
        second,
        float(rng.uniform(0, 2 * np.pi)),
        float(rng.uniform(0.1, 0.6)),
        int(rng.integers(2**31)),
    )
