"""The texture of a mouth's inside: where it lies, by scipy's rotations, and what it changes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.face.compose import Layers, compose
from vasa_jax.face.mouth import DEPTH, HALF, MIDDLE, MouthTexture, mouth_grid
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
        point = np.array(MIDDLE) + place[k, :2] + told * np.array(HALF) * np.exp(place[k, 2])
        seen = np.exp(pose.log_scale[k]) * turn @ [*point, DEPTH] + np.asarray(pose.translation[k])
        axis = np.linspace(-1, 1, size)
        np.testing.assert_allclose(seen[:2], [axis[column], axis[row]], atol=1e-5)
        assert grid[k, row, column, 2] == 0


def test_it_joins_a_trained_model_unseen_and_outside_of_it_is_nothing():
    motion = Motion(poses(2), jnp.asarray(RNG.normal(size=(2, 6)), jnp.float32))
    identity = jnp.asarray(RNG.normal(size=(1, 2, 2, 5)), jnp.float32)
    module = MouthTexture(10)
    params = module.init(jax.random.key(0), motion, identity, 32)
    made = module.apply(params, motion, identity, 32)
    assert made.shape == (2, 32, 32, 4)
    assert 0 < float(made[..., 3].max()) < 0.1
    assert not made[:, 0, :, 3].any()
    # One person serves many motions.
    alone = module.apply(params, jax.tree.map(lambda x: x[1:], motion), identity, 32)
    np.testing.assert_allclose(made[1:], alone, atol=1e-6)


def test_it_lies_over_what_the_decoder_draws_and_nothing_else():
    size, shape = 8, (1, 8, 8)
    shares = jnp.stack([jnp.full(shape, v) for v in (-9.0, -9.0, 9.0)], -1)
    layers = Layers(jnp.full((*shape, 3), 0.2), shares, jnp.zeros((1, 4, 4, 2)),
                    jnp.zeros((*shape, 2)), jnp.zeros((*shape, 1)))  # fmt: skip
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
    base = get_config("debug", ["face.compose=true", "face.compose_mouth=10", "face.trained=mouth",
                                "face.image_size=32", "face.identity_image_size=32",
                                "face.motion_image_size=32", "train_face.batch=2"])  # fmt: skip
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
            for x, y in zip(jax.tree.leaves(part), jax.tree.leaves(after.params["face"][name]),
                            strict=True)
        )
        for name, part in state.params["face"].items()
    }  # fmt: skip
    assert moved.pop("mouth")
    assert not any(moved.values())
    with pytest.raises(UserError, match=r"face\.compose_mouth=10 needs face\.compose=true"):
        get_config("debug", ["face.compose_mouth=10"])
