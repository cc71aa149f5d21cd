"""Rigid poses: Euler convention, inverses, and the direction of every map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vasa_jax.face.pose import (
    identity_pose,
    inverse_pose_matrix,
    mirror_pose,
    motion_to_vector,
    move,
    pose_matrix,
    rotation_matrix,
    vector_to_motion,
)
from vasa_jax.face.sampling import identity_grid, sample_volume
from vasa_jax.face.warp import canonical_grid, driven_grid
from vasa_jax.typing import Pose

RNG = np.random.default_rng(0)


def random_pose(batch=5, size=0.4):
    u = RNG.uniform(-size, size, (batch, 7)).astype(np.float32)
    return Pose(jnp.asarray(u[:, :3]), jnp.asarray(u[:, 3:6]), jnp.asarray(u[:, 6:]))


def homogeneous(matrix):
    bottom = np.broadcast_to(np.array([[[0, 0, 0, 1.0]]]), (matrix.shape[0], 1, 4))
    return np.concatenate([np.asarray(matrix), bottom], 1)


def test_rotation_equals_scipy():
    euler = RNG.uniform(-3, 3, (50, 3)).astype(np.float32)
    # Lower case: rotations about fixed axes, x first, so R = Rz Ry Rx.
    theirs = Rotation.from_euler("xyz", euler.astype(np.float64)).as_matrix()
    np.testing.assert_allclose(rotation_matrix(jnp.asarray(euler)), theirs, atol=1e-6)


def test_matrix_is_the_documented_map():
    pose, p = random_pose(), RNG.normal(size=3)
    r = Rotation.from_euler("xyz", np.asarray(pose.rotation, np.float64)).as_matrix()
    expected = np.exp(np.asarray(pose.log_scale)) * (r @ p) + np.asarray(pose.translation)
    np.testing.assert_allclose(homogeneous(pose_matrix(pose))[:, :3] @ [*p, 1], expected, atol=1e-5)


def test_inverse_is_the_inverse():
    pose = random_pose(size=1.0)
    product = homogeneous(inverse_pose_matrix(pose)) @ homogeneous(pose_matrix(pose))
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(4), product.shape), atol=1e-6)


def test_a_mirrored_pose_moves_mirrored_points():
    pose, flip = random_pose(size=1.0), np.diag([-1.0, 1, 1, 1])
    found = homogeneous(pose_matrix(mirror_pose(pose)))
    np.testing.assert_allclose(found, flip @ homogeneous(pose_matrix(pose)) @ flip, atol=1e-6)


def test_move_applies_each_matrix():
    pose, points = random_pose(3), RNG.normal(size=(1, 2, 3, 4, 3)).astype(np.float32)
    matrix = np.asarray(pose_matrix(pose))
    expected = np.einsum("bij,dhwj->bdhwi", matrix[:, :, :3], points[0])
    expected += matrix[:, None, None, None, :, 3]
    np.testing.assert_allclose(move(pose_matrix(pose), jnp.asarray(points)), expected, atol=1e-6)


def test_vectors_round_trip():
    vector = jnp.asarray(RNG.normal(size=(2, 4, 23)).astype(np.float32))
    motion = vector_to_motion(vector)
    assert motion.dyn.shape == (2, 4, 16)
    np.testing.assert_array_equal(motion.pose.translation, vector[..., 3:6])
    np.testing.assert_array_equal(motion_to_vector(motion), vector)


SHAPE = (32, 36, 40)
"""Unequal on purpose: the cube is [-1, 1] on each axis whatever the number of voxels."""


def blob(centre, sigma):
    """A Gaussian ball placed by its coordinates in the cube."""
    grid = np.asarray(identity_grid(*SHAPE), np.float64)
    value = np.exp(-((grid - np.asarray(centre)) ** 2).sum(-1) / (2 * sigma**2))
    return jnp.asarray(value[None, ..., None], jnp.float32)


def centroid(volume):
    grid = np.asarray(identity_grid(*SHAPE), np.float64)
    weight = np.asarray(volume, np.float64)[0]
    return (grid * weight).sum((0, 1, 2)) / weight.sum()


POSES = {
    "pitch": Pose(jnp.array([[0.5, 0, 0]]), jnp.zeros((1, 3)), jnp.zeros((1, 1))),
    "yaw": Pose(jnp.array([[0, 0.5, 0]]), jnp.zeros((1, 3)), jnp.zeros((1, 1))),
    "roll": Pose(jnp.array([[0, 0, 0.5]]), jnp.zeros((1, 3)), jnp.zeros((1, 1))),
    "shift": Pose(jnp.zeros((1, 3)), jnp.array([[0.2, -0.1, 0.15]]), jnp.zeros((1, 1))),
    "grow": Pose(jnp.zeros((1, 3)), jnp.zeros((1, 3)), jnp.array([[0.3]])),
    "all": Pose(jnp.array([[0.2, -0.4, 0.3]]), jnp.array([[0.1, -0.1, 0.1]]), jnp.array([[-0.2]])),
}
POINT, SIGMA = np.array([0.3, -0.25, 0.2]), 0.18
STILL = jnp.zeros((1, *SHAPE, 3))


@pytest.mark.parametrize("name", POSES)
def test_a_blob_is_canonicalised_and_driven_to_where_it_must_be(name):
    pose = POSES[name]
    # Where the head puts the canonical point, by scipy, not by our matrices.
    r = Rotation.from_euler("xyz", np.asarray(pose.rotation[0], np.float64))
    scale = float(jnp.exp(pose.log_scale[0, 0]))
    posed = scale * r.apply(POINT) + np.asarray(pose.translation[0])
    assert np.abs(posed).max() < 0.7
    assert np.abs(posed - POINT).max() > 0.05  # the pose moves it visibly

    photograph = blob(posed, SIGMA * scale)
    canonical = sample_volume(photograph, canonical_grid(pose, STILL))
    np.testing.assert_allclose(centroid(canonical), POINT, atol=0.015)
    np.testing.assert_allclose(canonical, blob(POINT, SIGMA), atol=0.06)

    driven = sample_volume(blob(POINT, SIGMA), driven_grid(pose, STILL))
    np.testing.assert_allclose(centroid(driven), posed, atol=0.015)
    np.testing.assert_allclose(driven, photograph, atol=0.06)

    back = sample_volume(canonical, driven_grid(pose, STILL))
    np.testing.assert_allclose(centroid(back), posed, atol=0.015)


def test_another_pose_carries_the_blob_over():
    source, driver = POSES["all"], POSES["yaw"]
    posed = np.asarray(pose_matrix(source))[0] @ [*POINT, 1]
    expected = np.asarray(pose_matrix(driver))[0] @ [*POINT, 1]
    canonical = sample_volume(blob(posed, SIGMA), canonical_grid(source, STILL))
    driven = sample_volume(canonical, driven_grid(driver, STILL))
    np.testing.assert_allclose(centroid(driven), expected, atol=0.015)


def smooth_field(amplitude=0.1, batch=2):
    """A displacement field with a known formula, as arrays and as a function."""

    def delta(p):
        x, y, z = p[..., 0], p[..., 1], p[..., 2]
        parts = [np.sin(2 * y), np.cos(1.5 * x + z), np.sin(x + y)]
        return amplitude * np.stack(parts, -1)

    grid = np.asarray(identity_grid(*SHAPE))
    field = np.broadcast_to(delta(grid), (batch, *SHAPE, 3))
    return jnp.asarray(field, jnp.float32), delta


def smooth_volume(p):
    return np.stack([np.sin(2 * p[..., 0]) + p[..., 1], np.cos(p[..., 2] * 1.5)], -1)


def inside(grid, margin=0.98):
    return (np.abs(np.asarray(grid)) < margin).all(-1)


def test_source_composition_is_exact():
    pose, (field, delta) = random_pose(2, 0.3), smooth_field()
    grid = np.asarray(canonical_grid(pose, field))
    p = np.asarray(identity_grid(*SHAPE), np.float64)
    matrix = np.asarray(pose_matrix(pose), np.float64)
    expected = np.einsum("bij,dhwj->bdhwi", matrix[:, :, :3], p + delta(p))
    np.testing.assert_allclose(grid, expected + matrix[:, None, None, None, :, 3], atol=1e-5)


def test_driver_composition_equals_the_formula():
    pose, (field, delta) = random_pose(2, 0.3), smooth_field()
    p = np.asarray(identity_grid(*SHAPE), np.float64)
    matrix = np.asarray(inverse_pose_matrix(pose), np.float64)
    r = np.einsum("bij,dhwj->bdhwi", matrix[:, :, :3], p) + matrix[:, None, None, None, :, 3]
    expected = r + delta(r)
    ok = inside(r, 1.0)
    assert ok.mean() > 0.5
    ours = np.asarray(driven_grid(pose, field))
    np.testing.assert_allclose(ours[ok], expected[ok], atol=2e-3)  # field interpolated on a grid


def test_one_resampling_agrees_with_two():
    pose, (field, _) = random_pose(2, 0.3), smooth_field()
    p = identity_grid(*SHAPE)
    volume = jnp.asarray(smooth_volume(np.asarray(p))[None].repeat(2, 0), jnp.float32)

    rigid = move(pose_matrix(pose), p[None])
    two = sample_volume(sample_volume(volume, rigid), p + field)
    grid = canonical_grid(pose, field)
    one = sample_volume(volume, grid)
    ok = inside(grid, 0.85) & inside(p + field, 0.85)
    assert ok.mean() > 0.3
    np.testing.assert_allclose(np.asarray(one)[ok], np.asarray(two)[ok], atol=0.02)
    # Closer to the truth than two steps, and a sum of the two maps would be far off.
    truth = smooth_volume(np.asarray(grid))
    error = [np.abs(np.asarray(v) - truth)[ok].mean() for v in (one, two)]
    assert error[0] < error[1]
    added = np.asarray(sample_volume(volume, rigid + p + field))
    assert np.abs(added - truth)[ok].mean() > 0.2

    rigid = move(inverse_pose_matrix(pose), p[None])
    two = sample_volume(sample_volume(volume, p + field), rigid)
    grid = driven_grid(pose, field)
    one = sample_volume(volume, grid)
    ok = inside(grid, 0.85) & inside(rigid, 0.85)
    assert ok.mean() > 0.3
    np.testing.assert_allclose(np.asarray(one)[ok], np.asarray(two)[ok], atol=0.02)


def test_identity_pose_and_still_warp_change_nothing():
    volume = jnp.asarray(RNG.normal(size=(2, *SHAPE, 3)).astype(np.float32))
    still = jnp.zeros((2, *SHAPE, 3))
    for grid in (canonical_grid(identity_pose(2), still), driven_grid(identity_pose(2), still)):
        np.testing.assert_allclose(sample_volume(volume, grid), volume, atol=1e-4)


def test_poses_have_gradients():
    volume = blob(POINT, SIGMA)
    target = blob(POINT + 0.1, SIGMA)

    def loss(pose):
        return jnp.mean((sample_volume(volume, driven_grid(pose, STILL)) - target) ** 2)

    grads = jax.jit(jax.grad(loss))(identity_pose(1))
    for leaf in grads:
        assert float(jnp.abs(leaf).min()) > 0
    # Moving towards the target lowers the loss: the gradient's sign is right.
    assert (np.asarray(grads.translation) < 0).all()
