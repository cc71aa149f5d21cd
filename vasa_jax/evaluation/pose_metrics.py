"""Errors of head pose, gaze and head distance, and VASA-1's pose intensity."""

import numpy as np

from vasa_jax.angles import gaze_directions, rotation_matrices
from vasa_jax.typing import Float

NORMS = ("geodesic", "l1", "l2")


def pose_error(
    a: Float[np.ndarray, "*t 3"], b: Float[np.ndarray, "*t 3"]
) -> Float[np.ndarray, "*t"]:
    """Geodesic distance of two head rotations in degrees: the angle of R_a^T R_b.

    a, b: (pitch, yaw, roll), radians.
    """
    return angle_between(rotation_matrices(a), rotation_matrices(b))


def relative_rotation(
    a: Float[np.ndarray, "*t 3"], b: Float[np.ndarray, "*#t 3"]
) -> Float[np.ndarray, "*t 3 3"]:
    """R_b^T R_a: the rotation from head b to head a, in the axes of b."""
    return np.swapaxes(rotation_matrices(b), -1, -2) @ rotation_matrices(a)


def angle_between(
    a: Float[np.ndarray, "*t 3 3"], b: Float[np.ndarray, "*t 3 3"]
) -> Float[np.ndarray, "*t"]:
    """Geodesic distance of two rotation matrices in degrees.

    From the Frobenius norm of a - b, since the arc cosine of the trace is inaccurate near 0.
    """
    chord = np.sqrt(np.square(a - b).sum((-2, -1)))
    # |R_a - R_b| = 2 sqrt(2) sin(angle / 2)
    return np.degrees(2 * np.arcsin(np.clip(chord / np.sqrt(8.0), 0, 1)))


def gaze_error(
    a: Float[np.ndarray, "*t 2"], b: Float[np.ndarray, "*t 2"]
) -> Float[np.ndarray, "*t"]:
    """Angle between two gaze directions in degrees; a, b: (yaw, pitch), radians."""
    x, y = gaze_directions(a), gaze_directions(b)
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(x - y, axis=-1) / 2, 0, 1)))


def distance_error(
    a: Float[np.ndarray, "*t"], b: Float[np.ndarray, "*t"]
) -> Float[np.ndarray, "*t"]:
    """Relative error of the head's distance exp(-log scale), per cent.

    a: measured, b: true log scales.
    """
    difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    return 100 * np.abs(np.expm1(difference))


def delta_pose(
    rotation: Float[np.ndarray, "t 3"], norm: str = "geodesic"
) -> Float[np.ndarray, " steps"]:
    """Pose intensity (VASA-1, section 4.2): head rotation between consecutive frames, degrees.

    The paper states neither the norm nor the pose estimator. "geodesic": angle of the relative
    rotation; "l1": mean |difference| of pitch, yaw and roll; "l2": Euclidean norm of the
    differences. rotation: one clip at 25 fps, radians; steps from or to NaN are NaN. Raises
    ValueError for another norm.
    """
    if norm not in NORMS:
        raise ValueError(f"norm {norm!r} is not one of {', '.join(NORMS)}")
    if norm == "geodesic":
        return pose_error(rotation[1:], rotation[:-1])
    step = np.degrees(np.diff(np.asarray(rotation, np.float64), axis=0))
    return np.abs(step).mean(-1) if norm == "l1" else np.linalg.norm(step, axis=-1)
