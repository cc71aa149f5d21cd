"""Rigid head pose: matrices, their inverses, and positions moved by them.

Which way the maps go. `Pose` says where the head is: the canonical point p appears in the posed
volume at M p, with M p = exp(log_scale) R p + t. Resampling works backwards: for every voxel of the
*output* we ask where in the *input* to read.

* Canonicalising a source: output voxels p are canonical, the input is the posed source volume, and
  the canonical point p lies there at M_s p. So we read at M_s p.
* Driving: output voxels q are posed, the input is the canonical volume, and what is seen at q is
  the canonical point p with M_d p = q. So we read at M_d^-1 q.

The papers and EMOPortraits' code name theta = M^-1, the map from the image to the frontal
template; in their letters the two lines read "canonical = theta_s^-1" and "driven = theta_d".

Axes: x to the right, y down, z along the volume's depth index; the cube is [-1, 1] on each axis
whatever its number of voxels.
"""

import jax.numpy as jnp
from jax import lax

from vasa_jax.angles import MIRRORED_ROTATION, MIRRORED_TRANSLATION
from vasa_jax.typing import (
    LOG_SCALE,
    POSE_DIM,
    ROTATION,
    TRANSLATION,
    Array,
    Float,
    Motion,
    Pose,
)

__all__ = [
    "identity_pose",
    "inverse_pose_matrix",
    "mirror_pose",
    "motion_to_vector",
    "move",
    "pose_matrix",
    "rotation_matrix",
    "vector_to_motion",
]


def rotation_matrix(euler: Float[Array, "*b 3"]) -> Float[Array, "*b 3 3"]:
    """R = Rz(roll) Ry(yaw) Rx(pitch) from (pitch, yaw, roll) in radians."""
    (cx, cy, cz), (sx, sy, sz) = (
        (f(euler[..., 0]), f(euler[..., 1]), f(euler[..., 2])) for f in (jnp.cos, jnp.sin)
    )
    rows = (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def pose_matrix(pose: Pose) -> Float[Array, "*b 3 4"]:
    """M = [exp(log_scale) R | t]: canonical position -> posed position (theta^-1)."""
    linear = jnp.exp(pose.log_scale)[..., None] * rotation_matrix(pose.rotation)
    return jnp.concatenate([linear, pose.translation[..., None]], -1)


def inverse_pose_matrix(pose: Pose) -> Float[Array, "*b 3 4"]:
    """M^-1 = [exp(-log_scale) R^T | -exp(-log_scale) R^T t]: posed -> canonical (theta)."""
    rotation = jnp.swapaxes(rotation_matrix(pose.rotation), -1, -2)
    linear = jnp.exp(-pose.log_scale)[..., None] * rotation
    offset = -jnp.sum(linear * pose.translation[..., None, :], -1)
    return jnp.concatenate([linear, offset[..., None]], -1)


def mirror_pose(pose: Pose) -> Pose:
    """Of the same head in the mirrored picture."""
    rotation = pose.rotation * jnp.array(MIRRORED_ROTATION, pose.rotation.dtype)
    translation = pose.translation * jnp.array(MIRRORED_TRANSLATION, pose.translation.dtype)
    return Pose(rotation, translation, pose.log_scale)


def move(
    matrix: Float[Array, "b 3 4"], points: Float[Array, "p d h w 3"]
) -> Float[Array, "b d h w 3"]:
    """Each (x, y, z) of `points` (batch b or 1) sent through its affine 3x4 matrix, float32."""
    # Highest precision: TF32 would place samples only to about a thousandth of the cube.
    moved = jnp.einsum(
        "bij,bdhwj->bdhwi",
        matrix[:, :, :3],
        jnp.broadcast_to(points, (matrix.shape[0], *points.shape[1:])),
        precision=lax.Precision.HIGHEST,
    )
    return moved + matrix[:, None, None, None, :, 3]


def identity_pose(batch: int) -> Pose:
    """The canonical, frontal pose for a batch."""
    zeros = jnp.zeros((batch, 3), jnp.float32)
    return Pose(zeros, zeros, zeros[:, :1])


def motion_to_vector(motion: Motion) -> Float[Array, "*b m"]:
    """[pitch, yaw, roll, tx, ty, tz, log_scale, dyn...] on the last axis."""
    return jnp.concatenate([*motion.pose, motion.dyn], -1)


def vector_to_motion(vector: Float[Array, "*b m"]) -> Motion:
    """The inverse of `motion_to_vector`."""
    pose = Pose(*(vector[..., part] for part in (ROTATION, TRANSLATION, LOG_SCALE)))
    return Motion(pose, vector[..., POSE_DIM:])
