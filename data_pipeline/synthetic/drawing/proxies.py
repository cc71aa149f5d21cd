"""MakeHuman's proxies (.mhclo): hair, brows and lashes that hang on vertices of the base mesh."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.assets import proxy_files
from vasa_jax.data_pipeline.synthetic.drawing.mesh import Part, read_obj, triangle_fan
from vasa_jax.errors import UserError
from vasa_jax.typing import Float, Int


class Proxy(NamedTuple):
    """A surface whose vertex is a weighted mean of three mesh vertices plus an offset."""

    at: Int[np.ndarray, "n 3"]  # of the kept mesh
    by: Float[np.ndarray, "n 3"]
    offset: Float[np.ndarray, "n 3"]  # mesh units at rest
    # For each axis two kept vertices and their distance at rest.
    scale: tuple[tuple[int, int, float], ...]
    part: Part  # its own corners
    picture: Path  # its texture


def read_proxy(folder: Path, kept: Int[np.ndarray, " v"]) -> Proxy | None:
    """The proxy of a folder; None if it hangs on vertices that were not kept, or has no picture.

    Raises UserError for files that are not what they should be.
    """
    if (files := proxy_files(folder)) is None:
        return None
    file, picture = files
    try:
        at, by, offset, scale = _read_mhclo(file)
        vertices, uv, groups = read_obj(file.with_suffix(".obj"))
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{folder}: is not a MakeHuman proxy ({error})") from None
    number = np.full(int(kept.max()) + 1, -1)
    number[kept] = np.arange(len(kept))
    known = np.where(at <= kept.max(), number[np.minimum(at, kept.max())], -1)
    ends = [(number[a], number[b], d) for a, b, d in scale if max(a, b) <= kept.max()]
    if (known < 0).any() or len(ends) != 3 or any(min(a, b) < 0 for a, b, _ in ends):
        return None
    faces = np.concatenate([triangle_fan(f) for group in groups.values() for f in group])
    pairs, inverse = np.unique(faces.reshape(-1, 2), axis=0, return_inverse=True)
    part = Part(pairs[:, 0], uv[pairs[:, 1]].astype(np.float32), inverse.reshape(-1, 3))
    if len(vertices) != len(at):
        raise UserError(f"{folder}: {len(at)} places for {len(vertices)} vertices")
    by, offset = by.astype(np.float32), offset.astype(np.float32)
    return Proxy(known, by, offset, tuple(ends), part, picture)


def _read_mhclo(path: Path):
    at, by, offset, scale, inside = [], [], [], {}, False
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scale[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "verts":
            inside = True
        elif inside and words[0].isdigit():
            if len(words) == 1:
                at.append([int(words[0])] * 3)
                by.append([1.0, 0.0, 0.0])
                offset.append([0.0, 0.0, 0.0])
            else:
                at.append([int(w) for w in words[:3]])
                by.append([float(w) for w in words[3:6]])
                offset.append([float(w) for w in words[6:9]])
        elif inside and at:
            inside = False
    return np.array(at), np.array(by), np.array(offset), [scale[axis] for axis in "xyz"]


def fit(proxy: Proxy, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "n 3"]:
    """Where the proxy's vertices lie on a head."""
    scale = np.array(
        [abs(vertices[a, k] - vertices[b, k]) / d for k, (a, b, d) in enumerate(proxy.scale)],
        np.float32,
    )
    return np.einsum("nk,nkc->nc", proxy.by, vertices[proxy.at]) + proxy.offset * scale
