"""The texture of a mouth's inside: where it lies, by scipy's rotations, and what it changes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.spatial.transform import Rotation

from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.face.compose import Layers, compose
from vasa_jax.face.mouth import (
    BELOW,
    DEPTH,
    HALF,
    MouthFinder,
    MouthTexture,
    mouth_grid,
    mouth_loss,
)
from vasa_jax.face.sampling import identity_grid
from vasa_jax.training.face_step import face_batch_struct, face_task
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.mesh import single_device
from vasa_jax.typing import Motion, Pose

RNG = np.random.default_rng(0)


def poses(count):
    euler, place = RNG.normal(0, 0.3, (count, 3)), RNG.normal(0, 0.1, (count, 3))
    scale = RNG.normal(0, 0.2, (count, 1))
    return Pose(*(jnp.asarray(x, jnp.float32) for x in (euler, place, scale)))


def test_it_lies_in_the_plane_of_the_upper_jaw():
    """A point of that plane is seen at the pixel where scipy's rotation puts it."""
    pose, place = poses(5), RNG.normal(0, 0.05, (5, 3)).astype(np.float32)
    size = 41
    grid = np.asarray(mouth_grid(pose, jnp.asarray(place), size))
    for k in range(5):
        pitch, yaw, roll = np.asarray(pose.rotation[k])
        turn = Rotation.from_euler("ZYX", [roll, yaw, pitch]).as_matrix()
        row, column = RNG.integers(10, 30, 2)
        told = grid[k, row, column, :2]
        point = place[k, :2] + [0, BELOW] + told * np.array(HALF) * np.exp(place[k, 2])
        seen = np.exp(pose.log_scale[k]) * turn @ [*point, DEPTH] + np.asarray(pose.translation[k])
        axis = np.linspace(-1, 1, size)
        np.testing.assert_allclose(seen[:2], [axis[column], axis[row]], atol=1e-5)
        assert grid[k, row, column, 2] == 0


def test_it_joins_a_trained_model_unseen_and_outside_of_it_is_nothing():
    motion = Motion(poses(2), jnp.asarray(RNG.normal(size=(2, 6)), jnp.float32))
    identity = jnp.asarray(RNG.normal(size=(1, 2, 2, 5)), jnp.float32)
    module = MouthTexture(10)
    mouth = jnp.array([[0.0, 0.4]])
    params = module.init(jax.random.key(0), motion, identity, mouth, 32)
    made = module.apply(params, motion, identity, mouth, 32)
    assert made.shape == (2, 32, 32, 4)
    assert 0 < float(made[..., 3].max()) < 0.1
    assert not made[:, 0, :, 3].any()
    # One person serves many motions.
    alone = module.apply(params, jax.tree.map(lambda x: x[1:], motion), identity, mouth, 32)
    np.testing.assert_allclose(made[1:], alone, atol=1e-6)


def test_a_mouth_that_is_seen_is_turned_back_to_rest_and_found_by_learning():
    """Scipy turns a point of the jaw's plane into the picture; the finder is to turn it back."""
    pose, points = poses(4), RNG.normal((0, 0.4), 0.1, (4, 2))
    turn = Rotation.from_euler("ZYX", np.asarray(pose.rotation)[:, ::-1]).as_matrix()
    posed = np.einsum("bij,bj->bi", turn, np.column_stack([points, np.full(4, DEPTH)]))
    seen = (np.exp(pose.log_scale) * posed + np.asarray(pose.translation))[:, :2]
    # A volume with one bright cell nearest to where it is seen.
    cells = 16
    place = np.round((seen + 1) / 2 * (cells - 1)).astype(int)
    volume = np.zeros((4, 2, cells, cells, 3), np.float32)
    volume[np.arange(4), :, place[:, 1], place[:, 0]] = 1
    motion = Motion(pose, jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32))
    module = MouthFinder()
    params = module.init(jax.random.key(0), jnp.asarray(volume), motion)
    five = np.repeat((jnp.asarray(seen)[:, None] + 1) / 2, 5, 1).astype(np.float32)

    def loss(params):
        return mouth_loss(module.apply(params, jnp.asarray(volume), motion)[0], jnp.asarray(five))

    optimizer = optax.adam(0.03)
    state, step = optimizer.init(params), jax.jit(jax.value_and_grad(loss))
    for _ in range(200):
        value, grads = step(params)
        updates, state = optimizer.update(grads, state)
        params = optax.apply_updates(params, updates)
    assert float(value) < 0.05  # a quarter of a cell's width is 0.033: what rounding leaves
    found = module.apply(params, jnp.asarray(volume), motion)[1]
    np.testing.assert_allclose(found, points, atol=0.1)


def test_it_lies_over_what_the_decoder_draws_and_nothing_else():
    size, shape = 8, (1, 8, 8)
    shares = jnp.stack([jnp.full(shape, v) for v in (-9.0, -9.0, 9.0)], -1)
    layers = Layers(
        jnp.full((*shape, 3), 0.2),
        shares,
        jnp.zeros((1, 4, 4, 2)),
        jnp.zeros((*shape, 2)),
        jnp.zeros((*shape, 1)),
    )
    places = identity_grid(2, 4, 4)[None]
    portrait = jnp.full((1, size, size, 3), 0.5)
    inside = jnp.zeros((*shape, 4)).at[:, 2:4].set(jnp.array([1.0, 0.9, 0.8, 0.75]))
    plain, with_it = (
        compose(layers, places, portrait),
        compose(layers, places, portrait, inside=inside),
    )
    want = 0.2 + 0.75 * (np.array([1.0, 0.9, 0.8]) - 0.2)
    np.testing.assert_allclose(with_it.picture[0, 2, 2], want, atol=1e-4)
    np.testing.assert_allclose(with_it.picture[0, 5], plain.picture[0, 5], atol=1e-6)
    np.testing.assert_allclose(with_it.layers[..., 2, :][0, 2, 2], want, atol=1e-6)
    hidden = compose(layers._replace(shares=-shares), places, portrait, inside=inside)
    assert float(jnp.abs(hidden.picture - 0.5).max()) < 1e-3


def test_it_can_be_trained_alone_and_needs_composing():
    settings = [
        "compose=true",
        "compose_mouth=10",
        "trained=mouth,mouth_finder",
        "image_size=32",
        "identity_image_size=32",
        "motion_image_size=32",
    ]
    base = get_config("debug", [*(f"face.{key}" for key in settings), "train_face.batch=2"])
    losses = {
        name: replace(getattr(base.face_losses, name), weight=0.0)
        for name in ("eyes", "mouth", "self_drive", "contrast", "consistency", "cross_identity")
    }
    off = replace(base.face_losses.adversarial, weight=0.0, feature_matching=0.0)
    config = replace(base, face_losses=replace(base.face_losses, adversarial=off, **losses))
    task = face_task(config, batch=face_batch_struct(config, 2))
    state = task.init(jax.random.key(0), {})
    batch = jax.tree.map(jnp.asarray, next(FakeBatches(task.batch, 0)))
    after, _ = jax.jit(lambda s, b: task.step(single_device(), s, {}, b, jax.random.key(1)))(
        state, batch
    )
    moved = {
        name: any(
            bool((x != y).any())
            for x, y in zip(
                jax.tree.leaves(part), jax.tree.leaves(after.params["face"][name]), strict=True
            )
        )
        for name, part in state.params["face"].items()
    }
    assert moved.pop("mouth")
    assert moved.pop("mouth_finder")
    assert not any(moved.values())
    with pytest.raises(UserError, match=r"face\.compose_mouth=10 needs face\.compose=true"):
        get_config("debug", ["face.compose_mouth=10"])
