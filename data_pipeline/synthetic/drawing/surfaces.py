"""Vertex normals of moving surfaces; the triangles around each vertex are sorted once."""

import numpy as np

from vasa_jax.typing import Float, Int


class Normals:
    """Area-weighted vertex normals of fixed triangles (f, 3) over `count` vertices."""

    def __init__(self, triangles: Int[np.ndarray, "f 3"], count: int):
        self._triangles = triangles
        corners = triangles.ravel()
        self._order = np.argsort(corners, kind="stable") // 3
        self._touched, self._starts = np.unique(np.sort(corners), return_index=True)
        self._count = count

    def __call__(self, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        a, b, c = (vertices[self._triangles[:, k]] for k in range(3))
        u, v = b - a, c - a
        face = np.empty_like(u)
        face[:, 0] = u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1]
        face[:, 1] = u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2]
        face[:, 2] = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        total = np.zeros((self._count, 3), vertices.dtype)
        total[self._touched] = np.add.reduceat(face[self._order], self._starts, axis=0)
        length = np.sqrt(np.einsum("vc,vc->v", total, total))
        return total / np.maximum(length, 1e-12)[:, None]


def sphere(rings: int = 18, segments: int = 28):
    """A unit sphere: vertices (n, 3), which are its normals too, and triangles."""
    polar, around = np.linspace(0, np.pi, rings + 1), np.arange(segments) * 2 * np.pi / segments
    grid = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(around),
            np.sin(polar)[:, None] * np.sin(around),
            np.broadcast_to(np.cos(polar)[:, None], (rings + 1, segments)),
        ],
        -1,
    )
    at = np.arange((rings + 1) * segments).reshape(rings + 1, segments)
    a, b = at[:-1], at[1:]
    c, d = np.roll(a, -1, 1), np.roll(b, -1, 1)
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([c, b, d], -1)]).reshape(-1, 3)
    return grid.reshape(-1, 3).astype(np.float32), triangles
