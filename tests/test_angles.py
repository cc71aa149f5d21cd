"""Rotations and lines of sight against SciPy and their own conventions."""

import numpy as np
from scipy.spatial.transform import Rotation

from vasa_jax import angles


def test_rotations_are_scipys_and_come_back():
    euler = np.random.default_rng(0).uniform(-1.4, 1.4, (50, 3))
    matrices = angles.rotation_matrices(euler)
    theirs = Rotation.from_euler("ZYX", euler[:, ::-1]).as_matrix()
    np.testing.assert_allclose(matrices, theirs, atol=1e-12)
    np.testing.assert_allclose(angles.euler_angles(matrices), euler, atol=1e-12)


def test_lines_of_sight_come_back():
    np.testing.assert_allclose(angles.gaze_directions(np.zeros(2)), [0, 0, -1])
    right_and_up = angles.gaze_directions(np.array([0.4, 0.3]))
    assert right_and_up[0] > 0
    assert right_and_up[1] < 0
    gaze = np.random.default_rng(1).uniform(-1.4, 1.4, (2, 5, 2))
    np.testing.assert_allclose(angles.gaze_angles(angles.gaze_directions(gaze)), gaze, atol=1e-12)
