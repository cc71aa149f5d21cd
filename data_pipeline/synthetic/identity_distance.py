"""Distances between synthetic identities: dlib embeddings of rendered portraits."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.clipmaker import renderer
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.typing import ARKIT, Float, UInt8

THRESHOLD = 0.6
"""Euclidean distance of dlib embeddings above which two images show two people (King 2017)."""
SIZE = 256
"""Side of a portrait in pixels; half of it would move embeddings by 0.16."""
HEADER = "| dlib distance | pairs | 5 % | median | 95 % | above 0.6 |\n|---|---|---|---|---|---|"

Vectors = Float[np.ndarray, "n e"]


class Portrait(NamedTuple):
    """A picture and the five face points in it."""

    image: UInt8[np.ndarray, "s s 3"]
    points: Float[np.ndarray, "5 2"]


class Spread(NamedTuple):
    """Distances between n identities in order."""

    consecutive: Float[np.ndarray, " a"]  # of each to the next, n - 1
    nearest: Float[np.ndarray, " b"]  # of each to the nearest other, n
    pairs: Float[np.ndarray, " c"]  # of all pairs, n (n - 1) / 2


def portrait(seed: int, assets: Path | None) -> Portrait:
    """The identity of a seed: frontal, neutral expression."""
    engine = renderer(SIZE, assets)
    engine.load(sample_identity(seed, assets))
    drawn = engine.render(np.zeros(len(ARKIT)), np.zeros(3), np.zeros(3), np.zeros(2))
    return Portrait(drawn.image, drawn.points)


def embedder() -> Callable[[Portrait], Float[np.ndarray, " e"]]:
    """A function from a portrait to its dlib embedding (128,), on the CPU so that machines agree.
    Raises UserError where the weights cannot be had."""
    import jax

    from vasa_jax.perception.identity import identity_vectors

    measure, (device, *_) = identity_vectors(SIZE, 1), jax.devices("cpu")

    def embed(seen: Portrait) -> Float[np.ndarray, " e"]:
        with jax.default_device(device):
            return measure(seen.image[None], seen.points[None])[0]

    return embed


def spread(vectors: Vectors) -> Spread:
    """The distances of identities by their embeddings."""
    table = distances(vectors)
    pairs = table[np.triu_indices(len(table), 1)]
    alone = table + np.diag(np.full(len(table), np.inf))
    nearest = alone.min(1) if len(table) > 1 else pairs
    return Spread(np.diagonal(table, 1), nearest, pairs)


def distances(vectors: Vectors) -> Float[np.ndarray, "n n"]:
    """Between all pairs of vectors."""
    return np.array([np.linalg.norm(vectors - vector, axis=1) for vector in vectors])


def percentiles(values: Float[np.ndarray, " n"]) -> dict[str, float]:
    """5 %, median, 95 % and the share above the threshold; {} of nothing."""
    if not len(values):
        return {}
    low, middle, high = (round(float(v), 3) for v in np.percentile(values, [5, 50, 95]))
    share = round(float((values > THRESHOLD).mean()), 3)
    return {"low": low, "median": middle, "high": high, "above": share}


def row(name: str, values: Float[np.ndarray, " n"]) -> str:
    """A row of the table that `HEADER` begins."""
    p = percentiles(values)
    return (
        f"| {name} | {len(values)} | {p['low']:.2f} | {p['median']:.2f} | {p['high']:.2f} | "
        f"{p['above']:.0%} |"
    )
