"""Displacement maps of the head model's ARKit blendshapes in the canonical volume.

They initialise the face model's blendshape maps. Canonical: a head that faces the camera, of zero
translation and log scale.
"""

import cv2
import numpy as np

from vasa_jax.data_pipeline.clip import EYE_SPAN
from vasa_jax.data_pipeline.synthetic.drawing.anchors import find_anchors
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.person import HEAD_WIDTH, Person
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.typing import ARKIT, Float

AMOUNT = 0.5
"""Coefficient at which displacements are measured: lids and jaws do not move along lines."""
_BLUR = 0.75
"""Standard deviation of the splatting kernel, grid steps."""
_FRONT = -0.15
"""Normals (z points away from the camera) below this face it."""
_THICK = 0.1
"""Half cubes: skin further than this behind other skin is hidden."""


def blendshape_maps(
    people: int, size: int, seed: int = 0
) -> Float[np.ndarray, "52 {size} {size} 3"]:
    """Mean displacement (x, y, z; half cubes) of the skin at coefficient 1, float32.

    Each is stored half way along it, which serves both directions of a backward warp on average. 0
    where there is no face. people: number of random identities from `seed` on. Raises UserError
    when the head model cannot be had.
    """
    axis = np.linspace(-1, 1, size)
    total = np.zeros((len(ARKIT), size, size, 3))
    weight = np.full((len(ARKIT), size, size, 1), 1e-3)
    for places, rest, front in _heads(people, seed):
        for k in range(len(ARKIT)):
            moved = places(AMOUNT * np.eye(len(ARKIT), dtype=np.float32)[k])
            seen = front[_seen((rest[front] + moved[front]) / 2, size)]
            way = (moved - rest)[seen] / AMOUNT
            near = _near(axis, (rest[seen] + moved[seen]) / 2, _BLUR)
            total[k] += np.einsum("vx,vy,vi->yxi", *near, way, optimize=True)
            weight[k] += np.einsum("vx,vy->yx", *near)[..., None]
    return (total / weight).astype(np.float32)


def mean_front(people: int, size: int, seed: int = 0) -> Float[np.ndarray, "{size} {size}"]:
    """Mean canonical depth (half cubes, away from the camera) of the skin that faces the camera,
    float32; outside of the head's outline that of the nearest skin."""
    axis = np.linspace(-1, 1, size)
    total, weight = np.zeros((size, size)), np.zeros((size, size))
    for _, rest, front in _heads(people, seed):
        seen = rest[front][_seen(rest[front], size)]
        for blur, share in ((_BLUR, 1.0), (4 * _BLUR, 1e-6), (16 * _BLUR, 1e-12)):
            near = _near(axis, seen, blur)
            total += share * np.einsum("vx,vy,v->yx", *near, seen[:, 2], optimize=True)
            weight += share * np.einsum("vx,vy->yx", *near)
    return (total / np.maximum(weight, 1e-30)).astype(np.float32)


def _heads(people, seed):
    """For each person: a function from ARKit coefficients to vertices, the neutral vertices, and
    indices of those that are skin facing the camera."""
    mesh = load_mesh()
    anchors, skin = find_anchors(mesh), np.unique(mesh.parts["body"].vertex)
    for number in range(people):
        identity = sample_identity(seed + number)
        person = Person(identity, mesh, [], anchors)
        rest, normals = _places(person, identity, np.zeros(len(ARKIT), np.float32))
        front = skin[(normals[skin, 2] < _FRONT) & (np.abs(rest[skin, :2]) < 1.1).all(1)]
        yield lambda face, p=person, i=identity: _places(p, i, face)[0], rest, front


def _near(axis, places, blur):
    """Weights of each point (v) in each column and in each row of the grid."""
    step = 2 / (len(axis) - 1)
    return [np.exp(-0.5 * ((axis - places[:, [j]]) / step / blur) ** 2) for j in (0, 1)]


def _seen(places, size):
    """Which points are not hidden by others: a lowered chin hides the throat."""
    cells = np.clip(np.rint((places[:, :2] + 1) * (size - 1) / 2).astype(int), 0, size - 1)
    front = np.full((size, size), 1e9, np.float32)
    np.minimum.at(front, (cells[:, 1], cells[:, 0]), places[:, 2].astype(np.float32))
    front = cv2.erode(front, np.ones((3, 3)))
    return places[:, 2] < front[cells[:, 1], cells[:, 0]] + _THICK


def _places(person, identity, arkit):
    """Vertices of a head in the canonical pose, half cubes, and their normals."""
    straight = np.zeros(3)
    posed = person.pose(arkit, straight, np.zeros(2))
    focal = EYE_SPAN * identity.distance * HEAD_WIDTH / person.span
    depth = focal * person.span / EYE_SPAN
    points = posed.vertices + np.array([0, 0, depth]) - posed.middle
    places = 2 * focal * points / points[:, 2:]
    places[:, 2] = 2 * focal * (points[:, 2] - depth) / depth
    return places, posed.normals
