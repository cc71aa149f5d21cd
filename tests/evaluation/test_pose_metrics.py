"""Pose errors against SciPy's rotations; gaze, distance and pose intensity of known motion."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vasa_jax import angles
from vasa_jax.evaluation import pose_metrics


def test_pose_error_is_scipys_angle_of_rotation(rng):
    a, b = rng.uniform(-0.9, 0.9, (2, 50, 3))
    b[:10] = a[:10] + 1e-6  # nearly equal: where an arc cosine would lose all digits
    turn = [Rotation.from_euler("xyz", v) for v in (a, b)]  # extrinsic: Rz Ry Rx
    wanted = np.degrees((turn[0].inv() * turn[1]).magnitude())
    np.testing.assert_allclose(pose_metrics.pose_error(a, b), wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(angles.rotation_matrices(a), turn[0].as_matrix(), atol=1e-12)
    half_turn = pose_metrics.pose_error(np.zeros((1, 3)), np.array([[0, np.pi, 0]]))
    np.testing.assert_allclose(half_turn, 180)


def test_gaze_error_is_the_angle_between_directions(rng):
    a, b = rng.uniform(-0.7, 0.7, (2, 50, 2))
    x, y = angles.gaze_directions(a), angles.gaze_directions(b)
    np.testing.assert_allclose(np.linalg.norm(x, axis=-1), 1)
    wanted = np.degrees(np.arctan2(np.linalg.norm(np.cross(x, y), axis=-1), (x * y).sum(-1)))
    np.testing.assert_allclose(pose_metrics.gaze_error(a, b), wanted, atol=1e-9)
    # The data contract: (0, 0) into the camera, yaw to the right of the picture, pitch up.
    np.testing.assert_allclose(angles.gaze_directions(np.zeros((1, 2))), [[0, 0, -1]])
    assert (
        angles.gaze_directions(np.array([0.2, 0.1]))[0]
        > 0
        > angles.gaze_directions(np.array([0.2, 0.1]))[1]
    )


def test_distance_error_in_per_cent():
    # A head twice as large is half as far.
    np.testing.assert_allclose(
        pose_metrics.distance_error(np.log([2.0, 1.0]), np.zeros(2)), [50, 0]
    )


def test_delta_pose_norms():
    yaw = np.radians(np.array([0.0, 2.0, 5.0, np.nan, 7.0]))
    track = np.stack([np.zeros(5), yaw, np.zeros(5)], 1)
    for norm, share in (("geodesic", 1), ("l2", 1), ("l1", 1 / 3)):
        np.testing.assert_allclose(
            pose_metrics.delta_pose(track, norm), [2 * share, 3 * share, np.nan, np.nan]
        )
    with pytest.raises(ValueError, match="norm"):
        pose_metrics.delta_pose(track, "l3")
