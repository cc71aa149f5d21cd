"""MediaPipe's canonical face: a mean head in centimetres, and each vertex's weight for pose.

It lies in the zoo's `face-landmarker` bundle as a protocol buffer message (mediapipe's
face_geometry/protos: GeometryPipelineMetadata, Mesh3d), read here without protobuf.
"""

import struct
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Float

MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"
VERTICES = 468
_VERTEX = 5  # x, y, z, u, v


class CanonicalFace(NamedTuple):
    """The mesh in the camera's axes (x right of picture, y down, z away), looking into the
    camera."""

    vertices: Float[np.ndarray, "468 3"]  # centimetres
    # Of the squared distances in the fit to landmarks; 0 where the expression moves a vertex.
    weights: Float[np.ndarray, "468"]


@lru_cache(maxsize=2)
def read_canonical_face(path: Path) -> CanonicalFace:
    """The canonical face of a face landmarker bundle. Raises UserError for any other file."""
    try:
        with zipfile.ZipFile(path) as bundle:
            message = _fields(bundle.read(MEMBER))
        floats = b"".join(_fields(message[1][0])[3])  # packed or one by one: the same bytes
        rows = np.frombuffer(floats, "<f4").reshape(VERTICES, _VERTEX)
        vertices = rows[:, :3].astype(np.float64) * (1, -1, -1)
        weights = np.zeros(VERTICES)
        for entry in message[2]:
            fields = _fields(entry)
            # Protocol buffers leave out a number that is zero.
            weights[fields.get(1, [0])[0]] = struct.unpack("<f", fields[2][0])[0]
        if not np.isfinite(vertices).all() or weights.min() < 0 or (weights > 0).sum() < 4:
            raise ValueError("its numbers make no face")
    except (KeyError, IndexError, ValueError, TypeError, OSError, struct.error) as error:
        raise UserError(f"{path} holds no canonical face: {error}") from None
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is not a face landmarker bundle: {error}") from None
    return CanonicalFace(vertices, weights)


def _fields(data: bytes) -> dict[int, list]:
    """Field number to its values: whole numbers, or the bytes of anything else.

    Raises ValueError for data that is not a whole message.
    """
    fields: dict[int, list] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            fields.setdefault(number, []).append(value)
        else:
            if wire == 2:
                size, at = _varint(data, at)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                raise ValueError(f"unknown wire type {wire}")
            content = data[at : at + size]
            at += size
            if len(content) != size:
                raise ValueError("it ends too early")
            fields.setdefault(number, []).append(content)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends too early")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")
