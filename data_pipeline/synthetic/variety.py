"""How far apart synthetic people are to an identity network, and how near one person stays.

    python -m vasa_jax.data_pipeline.synthetic.variety --identities 48 [--assets DIR]

Draws people as they come, from the front and in three other poses and faces, and people as `synth`
casts them, and prints Euclidean distances of dlib's embeddings (above 0.6 it says that these are
two people) and how many of the pictures the face detector finds one face in.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vasa_jax.data_pipeline.synthetic.casting import cast_people, summarise, tell, vectors_of
from vasa_jax.data_pipeline.synthetic.clipmaker import renderer
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.likeness import (
    HEADER,
    SIZE,
    Portrait,
    embedder,
    portrait,
    row,
    spread,
)
from vasa_jax.data_pipeline.synthetic.plan import Plan, candidate_seed
from vasa_jax.typing import ARKIT

MOVED = 3


def draw_moved(seed: int, assets: Path | None) -> list[Portrait]:
    """A person from the front at rest, then in `MOVED` other poses and faces."""
    engine, rng = renderer(SIZE, assets), np.random.default_rng((seed, 13))
    seen = [portrait(seed, assets)]
    engine.load(sample_identity(seed, assets))
    for _ in range(MOVED):
        arkit = np.zeros(len(ARKIT), np.float32)
        arkit[ARKIT.index("jawOpen")] = rng.uniform(0, 0.6)
        for name in ("mouthSmileLeft", "mouthSmileRight"):
            arkit[ARKIT.index(name)] = rng.uniform(0, 0.7)
        rotation = rng.uniform(-1, 1, 3) * np.radians([12.0, 25.0, 8.0])
        drawn = engine.render(arkit, rotation, np.zeros(3), np.zeros(2))
        seen.append(Portrait(drawn.image, drawn.points))
    return seen


def measure(seeds: Sequence[int], assets: Path | None) -> tuple[np.ndarray, int, int]:
    """Vectors (people, 1 + `MOVED`, 128) of people, how many pictures, and in how many of them the
    detector finds one face."""
    from vasa_jax.perception.face_detector import detect_faces

    embed, vectors, found = embedder(), [], []
    for seed in seeds:
        seen = draw_moved(seed, assets)
        vectors.append([embed(picture) for picture in seen])
        found += [len(detect_faces(picture.image)) == 1 for picture in seen]
    return np.array(vectors), len(found), sum(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--workers", type=int, default=0, help="processes that draw candidates")
    given = parser.parse_args()
    plan = Plan(given.seed, given.identities, given.identities, assets=given.assets)
    seeds = [candidate_seed(plan.seed, person, 0) for person in range(plan.identities)]
    vectors, count, found = measure(seeds, plan.assets)
    within = np.linalg.norm(vectors[:, 1:] - vectors[:, :1], axis=-1).ravel()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        members = cast_people(plan, Path(folder), portrait, embedder, workers=given.workers)
    seconds = time.perf_counter() - start
    cast = spread(vectors_of(members))
    print(HEADER)
    print(row("two people as they come", spread(vectors[:, 0]).pairs))
    print(row("two people, cast", cast.pairs))
    print(row("neighbours, cast", cast.consecutive))
    print(row("nearest other of each, cast", cast.nearest))
    print(row("one person, other pose and face", within))
    high, most = np.percentile(within, [99, 100])
    print(
        f"\nOne person: 99 % below {high:.2f}, all below {most:.2f}. "
        f"One face found in {found} of {count} pictures."
    )
    summary = summarise(members)
    print(f"{seconds / summary['faces_drawn']:.2f} s a face drawn.", *tell(summary), sep="\n")


if __name__ == "__main__":
    main()
