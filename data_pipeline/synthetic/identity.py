"""Identity of a synthetic head: all attributes that do not move."""

from typing import NamedTuple

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
    factor). The rest are strengths in [0, 1] of what is painted over either; creases: of the
    wrinkles that come with an expression."""

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
    creases: float
    makeup: float
    seed: int


class Cut(NamedTuple):
    """How painted hair is cut; mesh units (decimetres) at rest, and shares in [0, 1].

    hairline: height of its edge at the forehead. volume: thickness. fringe: how far it falls over
    the forehead. sweep: side of the parting, slope of the fringe, in [-1, 1]. end: height of the
    tips of hanging hair; opening: angle from the front at which it begins, radians; flare: how much
    wider it is a head below; curl: how far the tips turn in. wave, contrast: of the strands.
    """

    hairline: float
    volume: float
    fringe: float
    sweep: float
    end: float
    opening: float
    flare: float
    curl: float
    wave: float
    contrast: float


class Mouth(NamedTuple):
    """What lies behind the lips; lengths in mesh units (decimetres), colours sRGB.

    seed: of the teeth's irregularities. teeth, gums, tongue: colours. show: how far the upper
    incisors reach below the resting upper lip (2 to 4 mm in the young, less with age). overbite:
    how far the lower ones bite behind them. size: factor of the crowns. gap: between neighbours.
    diastema: between the upper middle ones. crooked: strength of irregular teeth, in [0, 1].
    missing: (jaw, number) of missing teeth, counted from the middle, right before left.
    braces: "", "upper" or "both". tongue_low: how far the resting tongue lies below the edge of the
    lower teeth; tongue_back: how much further back than behind them.
    """

    seed: int
    teeth: Colour
    gums: Colour
    tongue: Colour
    show: float
    overbite: float
    size: float
    gap: float
    diastema: float
    crooked: float
    missing: tuple[tuple[str, int], ...]
    braces: str
    tongue_low: float
    tongue_back: float


class Glasses(NamedTuple):
    """What is worn before the eyes; lengths in mesh units (decimetres), colours sRGB.

    shape, rim: of `drawing.glasses`. width, height: of a lens; bridge: between the two; low: how
    far the lenses' middles lie below the eyes'. thickness: radius of the frame's bars; colour,
    shine: the frame's. tint, dark: colour and opacity of the lenses. glare: strength of what they
    mirror, and glare_place where on them, in [-1, 1].
    """

    shape: str
    rim: str
    width: float
    height: float
    bridge: float
    low: float
    thickness: float
    colour: Colour
    shine: float
    tint: Colour
    dark: float
    glare: float
    glare_place: float


class Identity(NamedTuple):
    """A person in front of a camera, in plain numbers and names.

    seed: of this person. shape: (target name, weight) pairs. age: 0 young adult, 1 old; sex: 0
    female, 1 male; ancestry: weights (african, asian, caucasian), sum 1; muscle, weight: in
    [-1, 1] about the average.
    eyes: texture name of the assets or ""; iris: colour of the painted one.
    brows, lashes, hair: proxy of the assets, or a painted style ("" none).
    cut: of painted hair. beard: a painted style ("" none); beard_depth: its thickness, mesh units.
    hair_colour, brow_colour, shirt: sRGB. mouth: teeth, gums and tongue. glasses: None for none.
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
    cut: Cut
    beard: str
    beard_depth: float
    hair_colour: Colour
    brow_colour: Colour
    shirt: Colour
    mouth: Mouth
    glasses: Glasses | None
    light: Light
    background: Background
    distance: float
    log_scale: float
    place: tuple[float, float]


LOOKS = (
    "seed",
    "age",
    "sex",
    "skin",
    "eyes",
    "brows",
    "lashes",
    "hair",
    "cut",
    "beard",
    "beard_depth",
    "hair_colour",
    "brow_colour",
)
"""The fields of an identity that textures are painted from, and what belongs with them."""


def with_looks(identity: Identity, looks: Identity) -> Identity:
    """A person's head in their own place and light, in another's skin and hair."""
    return identity._replace(**{name: getattr(looks, name) for name in LOOKS})


def looks_of(identity: Identity) -> tuple:
    """What painted textures depend on: equal for people who differ in anything else alone."""
    return tuple(getattr(identity, name) for name in LOOKS)
