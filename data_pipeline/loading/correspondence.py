"""Dense correspondence between two renders of one person, from where each pixel lies on the head.

The renderer stores each pixel's place: its position (x, y, z) on the head at rest. Two renders of
one person are matched by places, which also tells what one of them hides.
"""

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Bool, Float

_STEP, _MOST = 0.001, 9.0
"""Resolution and range of stored places, mesh units (a head is about 2 wide)."""
_NEAR = 0.06
"""Mesh units: a place further than this from all of the other image's is hidden there. Pixels of a
head that fills half of 128 px are 0.03 apart, twice that where it turns away."""
_NEIGHBOURS = 6
_RIDGE = 1e-4
"""Regularisation, squared mesh units: pixels lie on a surface, so one direction is undetermined."""


def encode_places(places: Float[np.ndarray, "s s 4"]) -> bytes:
    """PNG bytes, 16 bits a channel, of `Scene.places`; 0 is background."""
    import cv2

    levels = 1 + np.round((np.clip(places[..., :3], -_MOST, _MOST) + _MOST) / _STEP)
    levels = np.where(places[..., 3:] > 0.5, levels, 0).astype(np.uint16)
    return cv2.imencode(".png", levels)[1].tobytes()


def decode_places(content: bytes) -> tuple[Float[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]:
    """Places (mesh units), and which pixels show the person. UserError for broken bytes."""
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
    """For each target, per pixel: (x, y) of the same place in the source as shares of width and
    height (pixel centres lie half a pixel inside), 1 if the source shows it (else 0 and the pixel's
    own coordinates), 1 if the pixel shows the person. Background is shown where both have it.

    source, targets: as of `decode_places`. Coordinates are interpolated by the plane through the
    source's nearest six places.
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
    """Coordinates at the asked places, linear in the k nearest ones' (`at`), and at most a pixel
    from the nearest's."""
    middle, centre = places.mean(1), at.mean(1)
    p, u = places - middle[:, None], at - centre[:, None]
    square = np.einsum("nki,nkj->nij", p, p) + _RIDGE * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(square, np.einsum("nki,nkj->nij", p, u))
    spot = centre + np.einsum("ni,nij->nj", asked - middle, slope)
    return np.clip(spot, at[:, 0] - pixel, at[:, 0] + pixel)
