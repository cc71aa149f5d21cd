"""Geometry of teeth and tongue, and the light that enters between the lips."""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.anchors import Anchors
from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh
from vasa_jax.data_pipeline.synthetic.identity import Mouth
from vasa_jax.typing import Float

_BEHIND = 0.075
"""Least distance of the upper incisors' front behind the line where lips meet, mesh units."""


class Opening(NamedTuple):
    """The gap between the lips, in camera axes: the lips' middle, unit vectors into the head, down
    and to the side, half its height and width (mesh units), and how fast the lips' line falls back
    to the sides: depth = bend * side^2."""

    middle: Float[np.ndarray, "3"]
    inward: Float[np.ndarray, "3"]
    down: Float[np.ndarray, "3"]
    side: Float[np.ndarray, "3"]
    half_height: float
    half_width: float
    bend: float


def place_mouth(
    mouth: Mouth, mesh: Mesh, bare: Float[np.ndarray, "v 3"], anchors: Anchors
) -> Float[np.ndarray, "v 3"]:
    """How far teeth and tongue are moved from where the head's shape puts them, mesh units.

    Upper incisors end `mouth.show` below the edge of the resting upper lip, lower ones bite behind
    them, the tongue lies on the floor of the mouth behind the lower teeth.
    """
    moved = np.zeros_like(bare)
    upper, lower, tongue = (
        np.unique(mesh.parts[f"helper-{name}"].vertex)
        for name in ("upper-teeth", "lower-teeth", "tongue")
    )
    seam = bare[anchors.lips[0]]
    # Incisors: the front of the arch.
    front = np.abs(bare[upper][:, 0]) < 0.06
    incisors = bare[upper][front]
    down = seam[1] - mouth.show - incisors[:, 1].min()
    back = min(0.0, seam[2] - _BEHIND - incisors[:, 2].max())
    moved[upper] = [0.0, down, back]
    edge = incisors[:, 1].min() + down
    lows = bare[lower][np.abs(bare[lower][:, 0]) < 0.06]
    low_down = edge + mouth.overbite - lows[:, 1].max()
    low_back = incisors[:, 2].max() + back - 0.045 - lows[:, 2].max()
    moved[lower] = [0.0, low_down, low_back]
    tip = bare[tongue][:, 2].max()
    top = bare[tongue][:, 1].max()
    floor = bare[tongue][:, 1].min()
    moved[tongue, 2] = min(0.0, lows[:, 2].max() + low_back - 0.10 - tip) - mouth.tongue_back
    # Lower and flatter: its top lies a little below the lower teeth's edge.
    wanted = edge + mouth.overbite - mouth.tongue_low
    share = (bare[tongue][:, 1] - floor) / (top - floor)
    moved[tongue, 1] = share * (wanted - top)
    return moved


def opening(
    vertices: Float[np.ndarray, "v 3"], anchors: Anchors, turn: Float[np.ndarray, "3 3"]
) -> Opening:
    """The gap of a posed head. vertices: camera axes; turn: of the head's mesh, camera axes."""
    high, low = (vertices[k] for k in anchors.lips)
    right, left = (vertices[k] for k in anchors.mouth)
    side, down, inward = turn.T
    middle = 0.5 * (high + low)
    half_width = max(0.5 * float(np.linalg.norm(left - right)), 0.05)
    corner = 0.5 * (float((right - middle) @ inward) + float((left - middle) @ inward))
    gap = max(float((low - high) @ down), 0.0)
    return Opening(
        middle, inward, down, side, 0.5 * gap, half_width, max(corner, 0.0) / half_width**2
    )
