"""From an identity to a neutral head: macro shape (age, sex, ancestry, build) and face details."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh
from vasa_jax.typing import Float

ANCESTRIES = ("african", "asian", "caucasian")
_OPPOSITE = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("concave", "convex"),
    ("compress", "uncompress"),
    ("backward", "forward"),
)
_HEADS = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")
_EARS = ("pointed", "round", "square", "triangle")
# Not a matter of identity (the macro shapes hold it), or out of the picture, or the head's place.
_LEFT_OUT = (
    "head-age",
    "head-trans",
    "head-angle",
    "measure-neck",
    "neck-trans",
    "neck-double",
    "mouth-trans-in",
    "nose-trans-in",
    "mouth-dimples",
    "chin-jaw-drop",
    "chin-cleft",
)
_STRENGTH = {
    "head": 0.45,
    "forehead": 0.42,
    "eyebrows": 0.45,
    "eye": 0.48,
    "nose": 0.52,
    "mouth": 0.48,
    "cheek": 0.48,
    "chin": 0.46,
    "ear": 0.32,
    "neck": 0.28,
    "asym": 0.18,
    "asymm": 0.18,
}


def axes(mesh: Mesh) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The ways in which faces differ: name to the targets of its negative and positive side.

    Sides of the face are moved together; `asym` targets alone move one.
    """
    pairs = [(f"-{a}", f"-{b}") for a, b in _OPPOSITE]
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for name in mesh.targets:
        stem = name.split("-")[0]
        if stem in ("universal", "r", *ANCESTRIES) or name.startswith(_LEFT_OUT):
            continue
        both = (name, f"r{name[1:]}") if stem == "l" else (name,)
        short = name.removeprefix("l-")
        for low, high in pairs:
            if short.endswith(low):
                root, k = short.removesuffix(low), 0
                break
            if short.endswith(high):
                root, k = short.removesuffix(high), 1
                break
        else:
            root, k = short, 1
        low_side, high_side = found.get(root, ((), ()))
        found[root] = (both, high_side) if k == 0 else (low_side, both)
    return found


def draw_shape(mesh: Mesh, rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
    """Random weights of the face's details: most axes move a little, some a lot."""
    shape: list[tuple[str, float]] = []
    one_of = {"head": rng.choice(_HEADS), "ear-shape": rng.choice(_EARS)}
    for name, (low, high) in axes(mesh).items():
        if not low and name.startswith(("head-", "ear-shape-")):
            if (
                name.rpartition("-")[2]
                != one_of["head" if name.startswith("head") else "ear-shape"]
            ):
                continue
        elif rng.random() < (0.7 if name.startswith("asym") else 0.25):
            continue
        strength = _STRENGTH[name.split("-")[0]]
        weight = float(np.clip(strength * rng.standard_normal(), -0.95, 0.95))
        side = low if weight < 0 and low else high
        shape += [(target, round(abs(weight), 4)) for target in side]
    return tuple(shape)


def macro_weights(
    age: float, sex: float, ancestry: tuple[float, ...], muscle: float, weight: float
) -> dict[str, float]:
    """MakeHuman's macro targets and their weights: products of the shares of each trait.

    age: 0 young, 1 old. sex: 0 female, 1 male. muscle, weight: in [-1, 1] about the average.
    """
    ages = {"young": 1 - age, "old": age}
    sexes = {"female": 1 - sex, "male": sex}
    muscles = _triad(muscle, "minmuscle", "averagemuscle", "maxmuscle")
    builds = _triad(weight, "minweight", "averageweight", "maxweight")
    found = {}
    for a, wa in ages.items():
        for s, ws in sexes.items():
            for name, share in zip(ANCESTRIES, ancestry, strict=True):
                found[f"{name}-{s}-{a}"] = wa * ws * share
            for m, wm in muscles.items():
                for b, wb in builds.items():
                    found[f"universal-{s}-{a}-{m}-{b}"] = wa * ws * wm * wb
    return {name: w for name, w in found.items() if w > 0}


def _triad(value: float, low: str, middle: str, high: str) -> dict[str, float]:
    return {low: max(-value, 0.0), middle: 1 - abs(value), high: max(value, 0.0)}


def neutral_head(
    mesh: Mesh, shape: tuple[tuple[str, float], ...], macro: dict[str, float]
) -> Float[np.ndarray, "v 3"]:
    """The vertices of a person at rest, float32, in the mesh's axes and units."""
    vertices = mesh.rest.astype(np.float64)
    for name, weight in [*macro.items(), *shape]:
        if name in mesh.targets:  # the average build moves nothing, so it has no target
            at, by = mesh.targets[name]
            vertices[at] += weight * by
    return vertices.astype(np.float32)
