"""Painted lashes: the mesh's lash strips with hairs that thin out towards their tips."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh, Part, eyeball
from vasa_jax.typing import UInt8

NAMES = tuple(f"helper-{side}-eyelashes-{k}" for side in "lr" for k in (1, 2))
_HAIRS, _COLOUR = 22, (16, 12, 11)


def lash_part(mesh: Mesh, name: str) -> Part:
    """A strip whose texture coordinates run along the lid and from its rim (1) to the tips (0)."""
    part = mesh.parts[name]
    _, centre = eyeball(mesh, mesh.rest, name.split("-")[1])
    place = mesh.rest[part.vertex]
    along = place[:, 0]
    out = np.linalg.norm(place - centre, axis=1)
    uv = np.stack([(along - along.min()) / np.ptp(along), 1 - (out - out.min()) / np.ptp(out)], 1)
    return part._replace(uv=uv.astype(np.float32))


def lash_texture(rng: np.random.Generator, size: int = 128) -> UInt8[np.ndarray, "s s 4"]:
    """Hairs on nothing; row 0 is v = 1, the rim."""
    axis = (np.arange(size) + 0.5) / size
    along, out = np.meshgrid(axis, axis)
    lean = along * _HAIRS + 0.6 * out * np.sign(along - 0.5)
    hair = np.floor(lean).astype(int)
    length = rng.uniform(0.55, 1.0, 2 * _HAIRS)[hair % (2 * _HAIRS)]
    left = np.clip(1 - out / length, 0, 1)
    strand = np.abs(lean - hair - 0.5) < 0.42 * left**0.7
    root = np.clip(1 - out / 0.12, 0, 1)
    rgba = np.zeros((size, size, 4), np.uint8)
    rgba[..., :3] = _COLOUR
    rgba[..., 3] = (255 * np.clip(0.75 * strand * left**0.5 + 0.5 * root, 0, 0.85)).astype(np.uint8)
    return rgba
