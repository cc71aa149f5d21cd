"""Head rotations and gaze directions in numpy, in the conventions of the labels.

Camera axes: x to the right of the picture, y down, z away. A face looks along (0, 0, -1). For
networks, `vasa_jax.face.pose` does the first of these in JAX.
"""

import numpy as np

from vasa_jax.typing import Float

MIRRORED_ROTATION, MIRRORED_TRANSLATION = (1, -1, -1), (-1, 1, 1)
"""Signs of a pose in the mirrored picture, F R F and F t for F = diag(-1, 1, 1): Rx(p) Ry(y) Rz(r)
turns into Rx(p) Ry(-y) Rz(-r)."""


def rotation_matrices(angles: Float[np.ndarray, "*t 3"]) -> Float[np.ndarray, "*t 3 3"]:
    """R = Rz(roll) Ry(yaw) Rx(pitch) of (pitch, yaw, roll) in radians (`vasa_jax.typing.Pose`)."""
    angles = np.asarray(angles, np.float64)
    (sx, sy, sz), (cx, cy, cz) = (
        (f(angles[..., 0]), f(angles[..., 1]), f(angles[..., 2])) for f in (np.sin, np.cos)
    )
    rows = (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def euler_angles(rotation: Float[np.ndarray, "*t 3 3"]) -> Float[np.ndarray, "*t 3"]:
    """Pitch, yaw and roll in radians: the inverse of `rotation_matrices` for |yaw| below pi / 2."""
    pitch = np.arctan2(rotation[..., 2, 1], rotation[..., 2, 2])
    yaw = np.arcsin(np.clip(-rotation[..., 2, 0], -1, 1))
    roll = np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return np.stack([pitch, yaw, roll], -1)


def gaze_directions(gaze: Float[np.ndarray, "*t 2"]) -> Float[np.ndarray, "*t 3"]:
    """Unit vectors of yaw (> 0 right of picture) and pitch (> 0 up) in radians."""
    yaw, pitch = np.moveaxis(np.asarray(gaze, np.float64), -1, 0)
    return np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)], -1)


def gaze_angles(direction: Float[np.ndarray, "*t 3"]) -> Float[np.ndarray, "*t 2"]:
    """Yaw and pitch of unit vectors: the inverse of `gaze_directions`."""
    across, down, away = np.moveaxis(direction, -1, 0)
    return np.stack([np.arctan2(across, -away), np.arcsin(np.clip(-down, -1, 1))], -1)
