"""How far apart synthetic people are to an identity network, and how near one person stays.

    python -m vasa_jax.data_pipeline.synthetic.variety --identities 24 [--assets DIR]

Draws everyone from the front and in three other poses and faces, and prints Euclidean distances
of dlib's embeddings (above 0.6 it says that these are two people) and how many of the pictures the
face detector finds one face in.
"""

import argparse
from pathlib import Path

import numpy as np

from vasa_jax.data_pipeline.synthetic.head import HeadRenderer
from vasa_jax.data_pipeline.synthetic.identity import sample_identity
from vasa_jax.typing import ARKIT, Float, UInt8

THRESHOLD = 0.6
"""dlib's: a larger distance means two people."""


def draw_people(
    count: int, size: int, assets: Path | None, seed: int = 0
) -> tuple[UInt8[np.ndarray, "n m s s 3"], Float[np.ndarray, "n m 5 2"]]:
    """Pictures and face points of people seed, seed + 1, …: from the front at rest, then moved."""
    pictures, points = [], []
    with HeadRenderer(size, assets=assets) as renderer:
        for person in range(seed, seed + count):
            renderer.load(sample_identity(person, assets))
            rng = np.random.default_rng((person, 13))
            row = [renderer.render(np.zeros(len(ARKIT)), np.zeros(3), np.zeros(3), np.zeros(2))]
            for _ in range(3):
                arkit = np.zeros(len(ARKIT), np.float32)
                arkit[ARKIT.index("jawOpen")] = rng.uniform(0, 0.6)
                for name in ("mouthSmileLeft", "mouthSmileRight"):
                    arkit[ARKIT.index(name)] = rng.uniform(0, 0.7)
                rotation = rng.uniform(-1, 1, 3) * np.radians([12.0, 25.0, 8.0])
                row.append(renderer.render(arkit, rotation, np.zeros(3), np.zeros(2)))
            pictures.append([r.image for r in row])
            points.append([r.points for r in row])
    return np.array(pictures), np.array(points)


def distances(
    embeddings: Float[np.ndarray, "n m e"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " l"]]:
    """Between different people's first pictures; between one person's first and other pictures."""
    first = embeddings[:, 0]
    between = np.linalg.norm(first[:, None] - first[None], axis=-1)
    within = np.linalg.norm(embeddings[:, 1:] - first[:, None], axis=-1)
    return between[np.triu_indices(len(first), 1)], within.ravel()


def _embed(pictures, points):
    import jax

    from vasa_jax import zoo
    from vasa_jax.perception import dlib_identity
    from vasa_jax.perception.identity import identity_network

    network = identity_network("dlib", dlib_identity.load(zoo.ensure("dlib-face-recognition")))
    embed = jax.jit(lambda images, points: network(images, points)[0])
    rows = [
        np.asarray(embed(p.astype(np.float32) / 255, q.astype(np.float32)))
        for p, q in zip(pictures, points, strict=True)
    ]
    return np.stack(rows)


def _line(name: str, values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, [5, 50, 95])
    return (f"| {name} | {len(values)} | {low:.2f} | {middle:.2f} | {high:.2f} | "
            f"{(values > THRESHOLD).mean():.0%} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--assets", type=Path)
    arguments = parser.parse_args()
    from vasa_jax.perception.face_detector import detect_faces

    pictures, points = draw_people(
        arguments.identities, arguments.size, arguments.assets, arguments.seed
    )
    between, within = distances(_embed(pictures, points))
    print("| dlib distance | pairs | 5 % | median | 95 % | above 0.6 |\n|---|---|---|---|---|---|")
    print(_line("two people", between))
    print(_line("one person, other pose and face", within))
    found = [len(detect_faces(p)) == 1 for row in pictures for p in row]
    print(f"\nOne face found in {sum(found)} of {len(found)} pictures.")


if __name__ == "__main__":
    main()
