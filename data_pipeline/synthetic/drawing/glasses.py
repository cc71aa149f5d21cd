"""Glasses: rims, bridge and temples as thin tubes, and transparent lenses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.mesh import Part
from vasa_jax.data_pipeline.synthetic.drawing.surfaces import Normals
from vasa_jax.data_pipeline.synthetic.identity import Glasses
from vasa_jax.typing import Float, Int, UInt8

SHAPES = {"round": (2.0, 0.0), "oval": (2.2, 0.05), "square": (4.5, 0.03), "aviator": (2.6, 0.22)}
"""Of a lens: exponent of its outline (a superellipse), and how far its inner lower end is drawn
in, as a part of its half width."""
RIMS = ("full", "upper", "none")
_BEFORE = 0.12
"""From the eyeball's front to the lens, mesh units."""
_CURVE = 0.22
"""How far the lenses fall back with the square of the distance from the middle."""
_CLEAR = 0.015
"""Least room between the glasses and the skin."""
_EAR = 0.72
"""Of a mesh at rest: skin farther from the middle than this, at the height of the eyes, is ear."""
_OUTLINE, _AROUND, _ALONG = 40, 6, 9


class Frame(NamedTuple):
    """Geometry of a pair of glasses."""

    # at, normal: (n, 3) mesh axes, neutral head.
    at: Float[np.ndarray, "n 3"]
    normal: Float[np.ndarray, "n 3"]
    turn: Float[np.ndarray, " n"]  # share of the head's rotation, all of it
    # frame, lenses: surfaces of these vertices.
    frame: Part
    lenses: Part


class _Piece(NamedTuple):
    at: Float[np.ndarray, "n 3"]
    uv: Float[np.ndarray, "n 2"]
    triangles: Int[np.ndarray, "f 3"]


def wear(
    glasses: Glasses,
    skin: Float[np.ndarray, "v 3"],
    eyes: Float[np.ndarray, "2 3"],
    radius: float,
) -> Frame:
    """Glasses on a neutral head. skin: its vertices; eyes, radius: the balls' middles, the person's
    left one first, and their radius."""
    middle, half = np.mean(eyes, 0), np.array([glasses.width, glasses.height]) / 2
    level, aside = middle[1] - glasses.low, glasses.bridge / 2 + half[0]
    away = np.abs(skin[:, 0] - middle[0])
    near = (np.abs(skin[:, 1] - level) < half[1]) & (skin[:, 2] > middle[2])
    near &= (away > glasses.bridge / 2) & (away < aside + half[0])
    reach = skin[near, 2] + _CURVE * away[near] ** 2 + _CLEAR
    front = max(middle[2] + radius + _BEFORE, *reach)

    def place(x, y):
        """On the lenses' surface; x from the middle, y from the lenses' level."""
        x, y = np.broadcast_arrays(x, y)
        return np.stack([middle[0] + x, level + y, front - _CURVE * np.square(x)], -1)

    outline = _outline(glasses.shape)
    frames, lenses = [], []
    for side in (1, -1):
        x, y = (outline * half).T
        edge = place(side * (aside + x), y)
        lenses.append(_fan(edge, place(side * aside, 0.0), outline))
        shown = {"full": edge, "upper": edge[: len(edge) // 2 + 1], "none": edge[:0]}[glasses.rim]
        if len(shown):
            frames.append(_tube(shown, glasses.thickness, closed=glasses.rim == "full"))
        hinge = place(side * (aside + half[0]), 0.4 * half[1])
        frames.append(_tube(_arm(hinge, side, skin), glasses.thickness))
    bow = np.linspace(-1, 1, _ALONG)
    rise = 1 - bow**2
    bridge = place(bow * (glasses.bridge / 2 + 0.05 * half[0]), 0.3 * half[1] + 0.05 * rise)
    frames.append(_tube(bridge + 0.03 * rise[:, None] * [0.0, 0.0, 1.0], glasses.thickness))
    frame, lens = _join(frames), _join(lenses)
    start = len(frame.at)
    at = np.concatenate([frame.at, lens.at])
    normal = Normals(np.concatenate([frame.triangles, lens.triangles + start]), len(at))(at)
    parts = (
        Part(np.arange(len(piece.at)) + first, piece.uv.astype(np.float32), piece.triangles)
        for piece, first in ((frame, 0), (lens, start))
    )
    f32 = np.float32
    return Frame(at.astype(f32), normal.astype(f32), np.ones(len(at), f32), *parts)


def lens_texture(glasses: Glasses, size: int = 64) -> UInt8[np.ndarray, "s s 4"]:
    """The tint of a lens, and the soft band of a window that it mirrors."""
    axis = np.linspace(-1, 1, size)
    x, y = np.meshgrid(axis, axis)
    across = x + 0.6 * y - glasses.glare_place
    band = glasses.glare * np.exp(-((across / 0.28) ** 4)) * np.clip(1.1 - np.abs(y), 0, 1)
    alpha = np.clip(glasses.dark + band, 0, 0.95)
    white = (band / np.maximum(glasses.dark + band, 1e-6))[..., None]
    colour = (1 - white) * np.array(glasses.tint) + white
    return (255 * np.concatenate([colour, alpha[..., None]], -1)).astype(np.uint8)


def _outline(shape: str) -> Float[np.ndarray, "n 2"]:
    """Around a lens of half width and half height 1, x away from the nose, from its outer end over
    the top."""
    power, drawn_in = SHAPES[shape]
    angle = np.arange(_OUTLINE) * 2 * np.pi / _OUTLINE
    x, y = (np.sign(v) * np.abs(v) ** (2 / power) for v in (np.cos(angle), np.sin(angle)))
    return np.stack([x + drawn_in * np.clip(-y, 0, 1) * (x < 0) * -x, y], 1)


def _fan(edge, centre, outline) -> _Piece:
    """A lens: triangles from its middle to its edge."""
    at = np.concatenate([edge, centre[None]])
    uv = np.concatenate([(outline + 1) / 2, [[0.5, 0.5]]])
    k = np.arange(len(edge))
    return _Piece(at, uv, np.stack([k, np.roll(k, -1), np.full(len(k), len(edge))], 1))


def _arm(hinge, side: int, skin) -> Float[np.ndarray, "n 3"]:
    """From the lens's outer end along the temple to above the ear and a little down behind it."""
    level = np.abs(skin[:, 1] - hinge[1]) < 0.12
    flank = skin[level & (side * skin[:, 0] > 0)]
    ears = flank[np.abs(flank[:, 0]) > _EAR]
    back = float(ears[:, 2].mean()) if len(ears) else hinge[2] - 1.0
    before = float(ears[:, 2].max()) if len(ears) else back
    z = np.linspace(hinge[2] - 0.02, back, _ALONG)
    wide = np.linspace(abs(hinge[0]) + 0.03, _EAR, _ALONG)
    for k in range(_ALONG):
        here = flank[(np.abs(flank[:, 2] - z[k]) < 0.08) & (flank[:, 2] > before)]
        if len(here):
            wide[k] = max(wide[k], np.abs(here[:, 0]).max() + _CLEAR)
    arm = np.stack([side * wide, np.full(_ALONG, hinge[1]), z], 1)
    hook = arm[-1] + np.array([[0.0, -0.05, -0.06], [0.0, -0.2, -0.12]])
    return np.concatenate([hinge[None], arm, hook])


def _tube(points: Float[np.ndarray, "n 3"], radius: float, closed: bool = False) -> _Piece:
    """A round bar along a line."""
    ahead = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    if not closed:
        ahead = np.gradient(points, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    # Seen from the front no part of glasses runs along this direction.
    beside = np.cross(ahead, [0.31, 0.17, 0.93])
    beside /= np.maximum(np.linalg.norm(beside, axis=1, keepdims=True), 1e-6)
    above = np.cross(ahead, beside)
    turn = np.arange(_AROUND) * 2 * np.pi / _AROUND
    ring = np.cos(turn)[:, None] * beside[:, None] + np.sin(turn)[:, None] * above[:, None]
    at = (points[:, None] + radius * ring).reshape(-1, 3)
    rows = np.arange(len(points) if closed else len(points) - 1)
    index = np.arange(len(at)).reshape(len(points), _AROUND)
    a, b = index[rows], index[(rows + 1) % len(points)]
    c, d = np.roll(a, -1, 1), np.roll(b, -1, 1)
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([c, b, d], -1)]).reshape(-1, 3)
    return _Piece(at, np.full((len(at), 2), 0.5), triangles)


def _join(pieces: Sequence[_Piece]) -> _Piece:
    starts = np.cumsum([0, *(len(piece.at) for piece in pieces)])
    triangles = [p.triangles + start for p, start in zip(pieces, starts[:-1], strict=True)]
    at, uv = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("at", "uv"))
    return _Piece(at, uv, np.concatenate(triangles))
