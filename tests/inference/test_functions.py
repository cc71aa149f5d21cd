"""The pure functions: what the pipeline computes, and gradients through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vasa_jax
from tests.assets import hum
from vasa_jax.config import get_config
from vasa_jax.inference.request import Controls
from vasa_jax.typing import Pose

POSE = Pose(np.array([[0.2, -0.1, 0.05]]), np.array([[0.1, -0.2, 0.05]]), np.array([[0.3]]))
PHOTO = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pipe(debug_bundle):
    return vasa_jax.Pipeline(debug_bundle)


def test_stages_are_those_of_the_pipeline(pipe):
    source = pipe.encode(pipe.params, PHOTO[None] / np.float32(255))
    wanted = pipe.programs.encode(PHOTO)
    for ours, theirs in zip(jax.tree.leaves(source), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    features = pipe.audio_features(pipe.params, hum(1.0).astype(np.float32)[None])
    assert features.shape == (1, 25, pipe.config.audio.dim)
    motion = pipe.programs.generate_motion([wanted], [np.asarray(features[0])], [Controls()], [0])
    images = pipe.decode(pipe.params, source, motion[0][:3])
    assert images.shape == (3, 64, 64, 3)
    frames = next(pipe.programs.decode(wanted, motion[0][:3]))
    np.testing.assert_allclose(images, frames / 255, atol=1 / 255)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_sampled_motion_is_that_of_the_pipeline(debug_bundle, share):
    """With and without neutral starts, for a length that is no multiple of a window."""
    config = get_config("debug", [f"motion.extensions.neutral_start={share}"])
    pipe = vasa_jax.Pipeline(debug_bundle._replace(config=config), batch=2)
    source = pipe.programs.encode(PHOTO)._replace(pose=POSE)
    features = np.random.default_rng(4).standard_normal((2, 30, 32)).astype(np.float32)
    keys = jax.vmap(jax.random.key)(np.array([5, 6], np.uint32))
    gaze = jnp.radians(jnp.array([[10.0, -5.0]] * 2))
    for distance in (None, 1.25):
        controls = Controls(gaze=(10.0, -5.0), distance=distance)
        stream = pipe.programs.motion_stream([source] * 2, [controls] * 2, [5, 6])
        wanted = np.stack(stream(list(features)))
        far = None if distance is None else jnp.full((2, 1), distance)
        found = pipe.sample(pipe.params, source, features, keys, gaze=gaze, distance=far)
        assert found.shape == wanted.shape == (2, 30, config.face.motion_dim)
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        if share:
            place = np.tile(POSE.translation, (2, 1))
            np.testing.assert_allclose(found[:, 0, 3:6], place, atol=1e-5)


def test_gradients_reach_the_parameters_and_the_motion(pipe):
    source = pipe.programs.encode(PHOTO)
    motion = np.zeros((1, pipe.config.face.motion_dim), np.float32)

    def loss(params, motion):
        return jnp.square(pipe.decode(params, source, motion)).mean()

    grads, moved = jax.grad(loss, (0, 1))(pipe.params, motion)
    decoder = sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(grads["face"]["decoder"]))
    assert np.isfinite(decoder)
    assert decoder > 0
    assert np.abs(moved).max() > 0
