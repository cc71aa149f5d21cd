"""Identity distances between synthetic people and within one person, as a table.

    python -m vasa_jax.data_pipeline.synthetic.identity_diversity --identities 48 [--assets DIR]

Renders randomly sampled identities (frontal, and in `MOVED` other poses and expressions) and those
that `synth` selects, and prints Euclidean distances of dlib embeddings (above 0.6: two people) and
in how many of the images the face detector finds one face.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vasa_jax.data_pipeline.synthetic.clipmaker import renderer
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.identity_distance import (
    HEADER,
    SIZE,
    Portrait,
    embedder,
    portrait,
    row,
    spread,
)
from vasa_jax.data_pipeline.synthetic.identity_selection import (
    select_identities,
    summarise,
    summary_lines,
    vectors_of,
)
from vasa_jax.data_pipeline.synthetic.plan import Plan, candidate_seed
from vasa_jax.typing import ARKIT

MOVED = 3


def draw_moved(seed: int, assets: Path | None) -> list[Portrait]:
    """An identity frontal and neutral, then in `MOVED` other poses and expressions."""
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
    """Embeddings (people, 1 + `MOVED`, 128), the number of images, and in how many of them the
    detector finds exactly one face."""
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
        members = select_identities(plan, Path(folder), portrait, embedder, workers=given.workers)
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
    print(
        f"{seconds / summary['faces_drawn']:.2f} s a face drawn.", *summary_lines(summary), sep="\n"
    )


if __name__ == "__main__":
    main()
