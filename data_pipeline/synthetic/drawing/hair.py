"""Painted hair as geometry: a shell over the skull that, in long cuts, hangs down from it.

The shell is a grid: columns go round the head (0 at the front), rows from the crown over the skull
and then straight down. Where there is no hair, its texture is transparent (see `hairpaint`).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.maths import step
from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh, Part
from vasa_jax.data_pipeline.synthetic.drawing.skin import hairline
from vasa_jax.data_pipeline.synthetic.drawing.surfaces import Normals, sphere
from vasa_jax.data_pipeline.synthetic.identity import Cut
from vasa_jax.typing import Float, Int

STYLES = ("short", "quiff", "slick", "afro", "curly", "bowl", "bob", "long", "bun")
"""The styles with a shell; "cropped" is painted on the skin, "" is bald."""
HANGING = ("bowl", "bob", "long")
CENTRE = np.array([0.0, 7.55, 0.5])
"""Of the skull at rest, mesh units."""
_COLUMNS, _DOME, _FALL, _DEEPEST = 48, 12, 15, 5.0
_ROWS = _DOME + _FALL
AZIMUTH = np.linspace(-np.pi, np.pi, _COLUMNS + 1)
_THICK = {
    "short": (0.05, 0.10, 0.03),
    "quiff": (0.05, 0.07, 0.03),
    "slick": (0.035, 0.05, 0.03),
    "afro": (0.22, 0.36, 0.75),
    "curly": (0.12, 0.16, 0.75),
    "bowl": (0.07, 0.08, 0.7),
    "bob": (0.06, 0.10, 0.7),
    "long": (0.06, 0.10, 0.6),
    "bun": (0.035, 0.03, 0.6),
}
"""Thickness: least, what volume adds, and the share of it that the sides have (absolute under
0.1)."""


class Shell(NamedTuple):
    """Geometry of painted hair."""

    # at, normal: (n, 3) mesh axes, neutral head.
    at: Float[np.ndarray, "n 3"]
    normal: Float[np.ndarray, "n 3"]
    turn: Float[np.ndarray, " n"]  # share of the head's rotation
    # solid, soft: what is opaque, and what may be seen through; of the shell's own vertices.
    solid: Part
    soft: Part


class Grid(NamedTuple):
    """Where the grid meets the skin of the mesh at rest: three vertices and their weights of each
    crossing; which crossings lie on an ear."""

    vertex: Int[np.ndarray, "r c 3"]
    weight: Float[np.ndarray, "r c 3"]
    ear: np.ndarray


@lru_cache(maxsize=1)
def _grid(rest_bytes: bytes, triangle_bytes: bytes) -> Grid:
    rest = np.frombuffer(rest_bytes, np.float32).reshape(-1, 3).astype(float)
    triangles = np.frombuffer(triangle_bytes, np.int64).reshape(-1, 3)
    a, b, c = (rest[triangles[:, k]] for k in range(3))
    top, bottom = (f(f(a[:, 1], b[:, 1]), c[:, 1]) for f in (np.maximum, np.minimum))
    around = np.stack([np.sin(AZIMUTH), 0 * AZIMUTH, np.cos(AZIMUTH)], 1)
    vertex = np.zeros((_ROWS, _COLUMNS + 1, 3), int)
    weight = np.zeros((_ROWS, _COLUMNS + 1, 3))
    for row in range(_ROWS):
        if row < _DOME:
            polar = np.pi / 2 * row / _DOME
            start, ways = CENTRE, around * np.sin(polar) + np.array([0, np.cos(polar), 0])
            near = np.flatnonzero(top > CENTRE[1] - 0.05)
        else:
            y = CENTRE[1] - (row - _DOME) / (_FALL - 1) * (CENTRE[1] - _DEEPEST)
            # The neck lies further back than the skull's middle, but never behind this axis.
            start, ways = np.array([0.0, y, np.interp(y, [6.2, 7.2], [0.35, 0.5])]), around
            near = np.flatnonzero((top >= y) & (bottom <= y))
        vertex[row], weight[row] = _cross(start, ways, a[near], b[near], c[near], triangles[near])
    spot = (rest[vertex] * weight[..., None]).sum(2)
    ear = (np.abs(spot[..., 0]) > 0.72) & (spot[..., 1] < 7.66) & (spot[..., 1] > 6.6)
    ear &= (spot[..., 2] > 0.1) & (spot[..., 2] < 0.8)
    return Grid(vertex, weight, ear)


def _cross(start, ways, a, b, c, triangles):
    """The furthest crossing of each ray with triangles (Moeller and Trumbore's equations)."""
    u, v = b - a, c - a
    p = np.cross(ways[:, None], v[None])
    det = (p * u).sum(-1)
    det = np.where(np.abs(det) < 1e-12, 1e-12, det)
    s = start - a
    w1 = (p * s).sum(-1) / det
    q = np.cross(s, u)
    w2 = (ways @ q.T) / det
    far = (q * v).sum(-1) / det
    inside = (w1 > -1e-6) & (w2 > -1e-6) & (w1 + w2 < 1 + 1e-6) & (far > 0)
    best = np.where(inside, far, -1).argmax(1)
    n = np.arange(len(ways))
    w1, w2 = w1[n, best], w2[n, best]
    return triangles[best], np.stack([1 - w1 - w2, w1, w2], 1)


def grid(mesh: Mesh) -> Grid:
    """The grid on a mesh; found once."""
    skin = mesh.parts["body"]
    triangles = np.ascontiguousarray(skin.vertex[skin.triangles], np.int64)
    return _grid(np.ascontiguousarray(mesh.rest, np.float32).tobytes(), triangles.tobytes())


def on_skin(net: Grid, vertices: Float[np.ndarray, "v 3"], ears: bool) -> np.ndarray:
    """Where the grid lies on a head, (rows, columns, 3); without ears it goes straight past them.
    Never wider than a head, though shoulders are."""
    spots = (vertices[net.vertex] * net.weight[..., None]).sum(2).astype(float)
    if not ears:
        at = np.arange(spots.shape[1])
        for row in np.flatnonzero(net.ear.any(1)):
            good = ~net.ear[row]
            for k in range(3):
                spots[row, :, k] = np.interp(at, at[good], spots[row, good, k])
    spots[..., 0] = np.clip(spots[..., 0], -1.05, 1.05)
    spots[..., 2] = np.maximum(spots[..., 2], -0.65)
    return spots


def region(style: str, cut: Cut, place: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Signed distance into the hair (mesh units, about) of places at rest, before the tips."""
    x, y, z = np.moveaxis(place, -1, 0)
    inside = hairline(place, cut.hairline)
    if style in HANGING:
        side = 0.85 * (np.abs(azimuth) - cut.opening)
        inside = np.maximum(inside, np.minimum(side, 7.9 - y + 0.2))
        inside = np.minimum(inside, y - cut.end)
    if cut.fringe > 0:
        low = 8.1 - 0.42 * cut.fringe + 0.16 * cut.sweep * x + 0.05 * np.abs(x)
        low = np.maximum(low, 7.66)
        front = np.minimum(y - low, 1.25 - np.abs(azimuth))
        inside = np.maximum(inside, np.where(z > 0.5, front, -1.0))
    return inside


def grow(style: str, cut: Cut, mesh: Mesh, head: Float[np.ndarray, "v 3"], seed: int) -> Shell:
    """The hair of a neutral head. Deterministic; seed: of the locks' unevenness."""
    rng = np.random.default_rng((seed, 19))
    net = grid(mesh)
    rest = on_skin(net, mesh.rest, False)
    depth = region(style, cut, rest, AZIMUTH[None])
    spots = on_skin(net, head, style in HANGING)
    middle = spots[_DOME].mean(0)
    out = spots - middle
    out[_DOME:, :, 1] = 0
    out /= np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-6)
    thick = _thickness(style, cut, rest, depth, rng)
    at = spots + out * thick[..., None]
    if style in HANGING:
        axis = middle[[0, 2]]
        flat = np.linalg.norm(at[..., [0, 2]] - axis, axis=-1)
        wide = np.maximum.accumulate(np.minimum(flat, 1.3), 0)
        wide = (np.roll(wide, 1, 1) + wide + np.roll(wide, -1, 1)) / 3
        below = np.clip((7.3 - rest[..., 1]) / 1.6, 0, 1.4)
        wide *= 1 + cut.flare * below**1.3
        tip = step(cut.end + 0.35 - rest[..., 1], 0.0, 0.35)
        wide *= 1 - cut.curl * tip
        way = np.stack([np.sin(AZIMUTH), np.cos(AZIMUTH)], 1)
        at[_DOME:, :, 0] = axis[0] + (way[:, 0] * wide)[_DOME:]
        at[_DOME:, :, 2] = axis[1] + (way[:, 1] * wide)[_DOME:]
    at[:, -1] = at[:, 0]
    turn = (mesh.turn[net.vertex] * net.weight).sum(-1)
    if style in HANGING:
        turn = 1 - 0.3 * step(6.5 - at[..., 1], 0.0, 1.2)
    return _close(style, cut, at, turn, depth, middle)


def _thickness(style, cut, rest, depth, rng):
    least, more, sides = _THICK[style]
    full = least + more * cut.volume
    edge = sides * full if sides > 0.1 else min(sides + 0.03 * cut.volume, full)
    upper = step(rest[..., 1], 7.6, 8.2)
    thick = edge + (full - edge) * upper
    if style == "quiff":
        lift = np.exp(-((rest[..., 2] - 1.15) ** 2) / 0.10 - (rest[..., 0] / 0.5) ** 2)
        thick += (0.10 + 0.22 * cut.volume) * lift
    bump = {"afro": 0.10, "curly": 0.30, "slick": 0.03, "bun": 0.03}.get(style, 0.12)
    rows = _ROWS if style in ("afro", "curly") else 3
    rough = rng.standard_normal((rows, _COLUMNS + 1))
    at = np.linspace(0, rows - 1, _ROWS)
    low = np.minimum(at.astype(int), rows - 2)
    rough = rough[low] + (at - low)[:, None] * (rough[low + 1] - rough[low])
    rough[:, -1] = rough[:, 0]
    thick = thick * (
        1 + bump * np.clip(rough, -1.6, 1.6) * step(rest[..., 1] - 8.45, -1.0, 0.0)
        if rows == 3
        else 1 + bump * np.clip(rough, -1.6, 1.6)
    )
    # Thin towards the edge; a fringe lies on the forehead.
    border = 0.3 if style in ("afro", "curly") else 0.22
    floor = 0.35 if style in ("afro", "quiff", "curly") else 0.2
    return 0.022 + thick * (floor + (1 - floor) * step(depth, -0.02, border))


def _close(style, cut, at, turn, depth, middle):
    """Triangles where there is hair, texture coordinates, normals; the knot of a bun."""
    index = np.arange(at.shape[0] * at.shape[1]).reshape(at.shape[:2])
    shown = depth > -0.12
    firm = depth > 0.17
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    some = shown[:-1, :-1] | shown[:-1, 1:] | shown[1:, :-1] | shown[1:, 1:]
    all_firm = firm[:-1, :-1] & firm[:-1, 1:] & firm[1:, :-1] & firm[1:, 1:]
    triangles = np.concatenate([np.stack([a, c, b], -1)[some], np.stack([b, c, d], -1)[some]])
    solid = np.tile(all_firm[some], 2)
    across, down = np.meshgrid(np.linspace(0, 1, at.shape[1]), np.linspace(1, 0, at.shape[0]))
    uv = np.stack([across, down], -1).reshape(-1, 2)
    places = at.reshape(-1, 3)
    normal = Normals(triangles, len(places))(places).reshape(at.shape)
    normal[0] = [0.0, 1.0, 0.0]
    seam = normal[:, 0] + normal[:, -1]
    normal[:, 0] = normal[:, -1] = seam / np.maximum(np.linalg.norm(seam, axis=-1)[:, None], 1e-6)
    places, normal, turn = places, normal.reshape(-1, 3), turn.ravel()
    if style == "bun":
        ball, more = sphere(10, 16)
        size = 0.24 + 0.16 * cut.volume
        high = np.array([0.0, 0.95, -0.15]) if cut.sweep > 0 else np.array([0.0, 0.72, -0.75])
        knot = middle + high * 1.06 + ball * size * np.array([1.0, 0.8, 0.9])
        triangles = np.concatenate([triangles, more + len(places)])
        solid = np.concatenate([solid, np.ones(len(more), bool)])
        places, normal = np.concatenate([places, knot]), np.concatenate([normal, ball])
        around = np.arctan2(ball[:, 0], ball[:, 2]) / (2 * np.pi) + 0.5
        uv = np.concatenate([uv, np.stack([around, 0.86 + 0.1 * ball[:, 1]], 1)])
        turn = np.concatenate([turn, np.ones(len(ball))])
    f32 = np.float32
    parts = [_part(uv.astype(f32), triangles[chosen]) for chosen in (solid, ~solid)]
    return Shell(places.astype(f32), normal.astype(f32), turn.astype(f32), *parts)


def _part(uv, triangles):
    used, inverse = np.unique(triangles, return_inverse=True)
    return Part(used, uv[used], inverse.reshape(-1, 3))
