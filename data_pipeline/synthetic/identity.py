"""Identity of a synthetic head: all attributes that do not move."""

from typing import NamedTuple

Colour = tuple[float, float, float]
"""sRGB in [0, 1]."""


class Light(NamedTuple):
    """Light in camera axes."""

    # key, fill: direction towards the light (unit vector, z < 0 is the camera's side) and colour
    # times strength, linear; ambient: sky and ground colour, linear.
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
    """Skin, painted or photographed; numbers without a comment are strengths in [0, 1]."""

    texture: str  # name of a skin of the assets, or "" for a painted one
    colour: Colour  # mean colour of the painted skin
    # hue, lightness: change of a texture's colours (turn of the red-yellow balance and factor).
    hue: float
    lightness: float
    lips: float
    lip_colour: Colour
    blush: float
    freckles: float
    stubble: float
    age_spots: float
    creases: float  # of the wrinkles that come with an expression
    makeup: float
    seed: int


class Cut(NamedTuple):
    """How painted hair is cut; mesh units (decimetres) at rest, and shares in [0, 1]."""

    hairline: float  # height of its edge at the forehead
    volume: float  # thickness
    fringe: float  # how far it falls over the forehead
    sweep: float  # side of the parting, slope of the fringe, in [-1, 1]
    end: float  # height of the tips of hanging hair
    opening: float  # angle from the front at which it begins, radians
    flare: float  # how much wider it is a head below
    curl: float  # how far the tips turn in
    # wave, contrast: of the strands.
    wave: float
    contrast: float


class Mouth(NamedTuple):
    """What lies behind the lips; lengths in mesh units (decimetres), colours sRGB."""

    seed: int  # of the teeth's irregularities
    # teeth, gums, tongue: colours.
    teeth: Colour
    gums: Colour
    tongue: Colour
    # How far the upper incisors reach below the resting upper lip (2 to 4 mm in the young, less
    # with age).
    show: float
    overbite: float  # how far the lower ones bite behind them
    size: float  # factor of the crowns
    gap: float  # between neighbours
    diastema: float  # between the upper middle ones
    crooked: float  # strength of irregular teeth, in [0, 1]
    # (jaw, number) of missing teeth, counted from the middle, right before left.
    missing: tuple[tuple[str, int], ...]
    braces: str  # "", "upper" or "both"
    tongue_low: float  # how far the resting tongue lies below the edge of the lower teeth
    tongue_back: float  # how much further back than behind them


class Glasses(NamedTuple):
    """What is worn before the eyes; lengths in mesh units (decimetres), colours sRGB."""

    # shape, rim: of `drawing.glasses`.
    shape: str
    rim: str
    # width, height: of a lens.
    width: float
    height: float
    bridge: float  # between the two
    low: float  # how far the lenses' middles lie below the eyes'
    thickness: float  # radius of the frame's bars
    # colour, shine: the frame's.
    colour: Colour
    shine: float
    # tint, dark: colour and opacity of the lenses.
    tint: Colour
    dark: float
    # Strength of the reflection, and its place on the lenses, in [-1, 1].
    glare: float
    glare_place: float


class Identity(NamedTuple):
    """A person in front of a camera, in plain numbers and names."""

    seed: int  # of this person
    shape: tuple[tuple[str, float], ...]  # (target name, weight) pairs
    age: float  # 0 young adult, 1 old
    sex: float  # 0 female, 1 male
    ancestry: tuple[float, float, float]  # weights (african, asian, caucasian), sum 1
    # muscle, weight: in [-1, 1] about the average.
    muscle: float
    weight: float
    skin: Skin
    eyes: str  # texture name of the assets or ""
    iris: Colour  # colour of the painted one
    # brows, lashes, hair: proxy of the assets, or a painted style ("" none).
    brows: str
    lashes: str
    hair: str
    cut: Cut  # of painted hair
    beard: str  # a painted style ("" none)
    beard_depth: float  # its thickness, mesh units
    # hair_colour, brow_colour, shirt: sRGB.
    hair_colour: Colour
    brow_colour: Colour
    shirt: Colour
    mouth: Mouth  # teeth, gums and tongue
    glasses: Glasses | None  # None for none
    light: Light
    background: Background
    distance: float  # camera to resting place in head widths
    log_scale: float  # apparent size at rest (`Clip`)
    place: tuple[float, float]  # (x, y) in [-1, 1], where the middle between the eyes lies at rest


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
