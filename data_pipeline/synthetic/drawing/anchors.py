"""Vertices with a meaning: eye corners, nose tip, lips, lids, outline."""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh, eyeball
from vasa_jax.typing import ARKIT

REGIONS = (("lips", 20), ("lids", 24), ("brows", 10), ("nose", 9), ("jaw", 13))
"""The landmarks in their order, and how many each region has."""


class Anchors(NamedTuple):
    """Vertices of the mesh with a meaning: outer eye corners (right, left), nose tip, corners of
    the mouth (right, left), the middle of the edges where the lips meet (upper, lower), and the
    rest of the landmarks."""

    corners: tuple[int, int]
    nose: int
    mouth: tuple[int, int]
    lips: tuple[int, int]
    landmarks: np.ndarray


def find_anchors(mesh: Mesh) -> Anchors:
    """Found on the mesh at rest, so they are the same vertices for everyone."""
    rest = mesh.rest
    body = np.unique(mesh.parts["body"].vertex)
    at = rest[body]
    outside = at[:, 2] > 0.9

    def nearest(point):
        return int(body[np.argmin(np.linalg.norm(at - point, axis=1))])

    corners = []  # right, left
    for sign, side in ((-1, "r"), (1, "l")):
        strips = [np.unique(mesh.parts[f"helper-{side}-eyelashes-{k}"].vertex) for k in (1, 2)]
        ball, _ = eyeball(mesh, rest, side)
        lash = rest[np.concatenate(strips)]
        out = lash[
            np.argmax(sign * lash[:, 0] - 2.0 * np.maximum(lash[:, 2] - ball[:, 2].max(), 0))
        ]
        corners.append(nearest(out))
    right, left = corners
    middle = np.abs(at[:, 0]) < 0.15
    face = middle & (at[:, 1] > 6.7) & (at[:, 1] < 7.2)
    nose = int(body[face][np.argmax(at[face][:, 2])])
    moved = np.linalg.norm(mesh.arkit.reshape(-1, 3, 52)[body], axis=1)
    smile = [moved[:, ARKIT.index(f"mouthSmile{s}")] for s in ("Right", "Left")]
    lips_y = (at[:, 1] > 6.5) & (at[:, 1] < 6.8) & outside & (at[:, 2] > 1.2)
    pucker = moved[:, ARKIT.index("mouthPucker")] > 0.02
    mouth = []
    for sign, pull in zip((-1, 1), smile, strict=True):
        mine = lips_y & pucker & (sign * at[:, 0] > 0.15)
        mouth.append(int(body[mine][np.argmax(pull[mine])]))
    # The seam: only the lower lip follows the jaw.
    seam = (np.abs(at[:, 0]) < 0.003) & (at[:, 1] > 6.5) & (at[:, 1] < 6.7) & (at[:, 2] > 1.53)
    fall = mesh.arkit.reshape(-1, 3, 52)[body, 1, ARKIT.index("jawOpen")]
    above, below = seam & (fall > -0.1), seam & (fall < -0.2)
    lips = (
        int(body[above][np.argmin(at[above][:, 1])]),
        int(body[below][np.argmax(at[below][:, 1])]),
    )
    ring = lips_y & pucker & (np.abs(at[:, 0]) < 0.33)
    lids = np.zeros(len(body), bool)
    for side in ("l", "r"):
        _, centre = eyeball(mesh, rest, side)
        distance = np.linalg.norm(at - centre, axis=1)
        lids |= (distance < 0.24) & (at[:, 2] > centre[2] + 0.03)
    regions = {
        "lips": ring,
        "lids": lids,
        "brows": (at[:, 1] > 7.42)
        & (at[:, 1] < 7.62)
        & (np.abs(at[:, 0]) > 0.08)
        & (np.abs(at[:, 0]) < 0.62)
        & outside,
        "nose": (np.abs(at[:, 0]) < 0.2) & (at[:, 1] > 6.85) & (at[:, 1] < 7.4) & (at[:, 2] > 1.35),
        "jaw": (at[:, 1] < 6.6) & (at[:, 1] > 6.1) & (at[:, 2] > 0.55) & (mesh.turn[body] > 0.8),
    }
    chosen = [_scatter(body[regions[name]], rest, count) for name, count in REGIONS]
    return Anchors((right, left), nose, (mouth[0], mouth[1]), lips, np.concatenate(chosen))


def _scatter(vertices, rest, count):
    """`count` vertices spread over a region: each as far from the earlier ones as can be."""
    places = rest[vertices]
    taken = [int(np.argmin(places[:, 0]))]
    distance = np.full(len(vertices), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.linalg.norm(places - places[taken[-1]], axis=1))
        taken.append(int(np.argmax(distance)))
    return vertices[np.array(taken)]
