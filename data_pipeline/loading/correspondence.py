"""Where in one picture of a head lies what another shows: exact, by the places of the head at rest.

A renderer can say of every pixel which place of the person it shows. Two pictures of one person
then tell where each pixel of the one is found in the other, and whether it is seen there at all.
"""

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Bool, Float

_STEP, _MOST = 0.001, 9.0
"""Of a stored place, mesh units (a head is about 2 wide), and how far places reach each way."""
_NEAR = 0.06
"""Mesh units: what is no nearer to anything in the other picture is hidden there. Pixels of a head
that fills half of 128 px are 0.03 apart, and twice that where it turns away."""
_NEIGHBOURS = 6
_RIDGE = 1e-4
"""On squares of mesh units: pixels lie on a surface, so one direction is not told by them."""


def encode_places(places: Float[np.ndarray, "s s 4"]) -> bytes:
    """PNG bytes, 16 bits a channel, of `Scene.places`; 0 where nothing is."""
    import cv2

    levels = 1 + np.round((np.clip(places[..., :3], -_MOST, _MOST) + _MOST) / _STEP)
    levels = np.where(places[..., 3:] > 0.5, levels, 0).astype(np.uint16)
    return cv2.imencode(".png", levels)[1].tobytes()


def decode_places(content: bytes) -> tuple[Float[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]:
    """The places, and where there are any. Raises UserError for broken bytes."""
    import cv2

    levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.dtype != np.uint16 or levels.ndim != 3:
        raise UserError("a picture's places are broken; make the group anew")
    there = levels[..., 0] > 0
    return (levels.astype(np.float32) - 1) * np.float32(_STEP) - np.float32(_MOST), there


def correspond(
    source: tuple[Float[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]],
    targets: list[tuple[Float[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]],
) -> list[Float[np.ndarray, "s s 4"]]:
    """For every pixel of each target: where in the source it is seen, as shares (x, y) of the width
    and the height (pixel centres lie half a pixel inside), and 1; its own place and 0 where the
    source does not show it; then 1 where it shows the person. Background is seen where it is
    uncovered in both.

    source, targets: places (mesh units) and where the person is. Between the source's pixels places
    are interpolated by the plane through the nearest six.
    """
    from scipy.spatial import cKDTree

    places, there = source
    size = len(there)
    rows, columns = np.nonzero(there)
    at = (np.stack([columns, rows], 1).astype(np.float32) + 0.5) / size
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    own = np.stack(np.meshgrid(axis, axis), -1)
    # Balanced trees of regular points take five times as long to build and answer no faster.
    tree = cKDTree(places[there], balanced_tree=False) if len(at) >= _NEIGHBOURS else None
    found = []
    for wanted, covered in targets:
        seen = ~there & ~covered
        out = np.concatenate([own, seen[..., None], covered[..., None]], -1).astype(np.float32)
        if tree is not None and covered.any():
            asked = wanted[covered]
            distance, number = tree.query(asked, _NEIGHBOURS)
            near = distance[:, 0] < _NEAR
            rows_of = np.flatnonzero(covered)[near]
            spots = _between(
                asked[near], tree.data[number[near]].astype(np.float32), at[number[near]], 1 / size
            )
            out.reshape(-1, 4)[rows_of, :2] = spots
            out.reshape(-1, 4)[rows_of, 2] = 1.0
        found.append(out)
    return found


def _between(
    asked: Float[np.ndarray, "n 3"],
    places: Float[np.ndarray, "n k 3"],
    at: Float[np.ndarray, "n k 2"],
    pixel: float,
) -> Float[np.ndarray, "n 2"]:
    """Pixels' coordinates, linear in their places around each asked one; not further out than a
    pixel from the nearest."""
    middle, centre = places.mean(1), at.mean(1)
    p, u = places - middle[:, None], at - centre[:, None]
    square = np.einsum("nki,nkj->nij", p, p) + _RIDGE * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(square, np.einsum("nki,nkj->nij", p, u))
    spot = centre + np.einsum("ni,nij->nj", asked - middle, slope)
    return np.clip(spot, at[:, 0] - pixel, at[:, 0] + pixel)
