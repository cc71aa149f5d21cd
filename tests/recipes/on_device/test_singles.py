"""Crops and turned heads that the device makes against those of the host's loaders."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recipes.demo.data import face_crops as host_crops
from recipes.demo.on_device import face_crops, pose_images
from recipes.demo.on_device.filling import to_arrays
from recipes.demo.on_device.labels import sample_cells
from recipes.demo.on_device.pool import group_struct
from recipes.demo.stages.dyn_encoder_step import dyn_encoder_struct
from tests.data_pipeline.helpers import make_group
from vasa_jax.config import FaceExtensions, get_config
from vasa_jax.data_pipeline.loading import pose_examples as host_heads
from vasa_jax.training.pose_trainer import pose_struct
from vasa_jax.typing import Pose

SIZE, BATCH = 96, 8
CONFIG = get_config("debug", ["train_face.batch=8", "train_pose.batch=8"])
CONFIG = dataclasses.replace(
    CONFIG,
    face=dataclasses.replace(
        CONFIG.face, extensions=FaceExtensions(dyn_crop=48), motion_image_size=40
    ),
)
PLACES = tuple(
    jnp.array(k)
    for k in (
        [0, 1, 2, 0, 1, 2, 0, 1],
        [0, 1, 1, 1, 0, 0, 0, 1],
        [0, 1, 2, 2, 1, 0, 1, 0],
        [0, 1, 0, 1, 1, 0, 0, 1],
    )
)


@pytest.fixture(scope="module")
def pool():
    groups = [make_group(n, size=SIZE, places=16) for n in range(3)]
    return to_arrays(groups, 1, np.random.default_rng(0))


def row(draws, k):
    return jax.tree.map(lambda x: np.asarray(x[k]), draws)


def close(found, wanted):
    """OpenCV rounds to bytes between its steps, and positions to 1/32 pixel."""
    off = np.abs(np.asarray(found, np.float64) - np.asarray(wanted, np.float64) / 255)
    assert off.max() < 0.03, off.max()
    assert off.mean() < 0.003, off.mean()


def test_crops_equal_the_loaders(pool):
    draws = face_crops.sample_augmentations(jax.random.key(1), BATCH)
    assert set(np.asarray(draws.flip)) == {True, False}
    make = jax.jit(face_crops.crops_of, static_argnums=3)
    found = make(jax.device_put(pool), PLACES, draws, 48)
    wanted = []
    for k, (g, i, p, d) in enumerate(zip(*map(np.asarray, PLACES), strict=True)):
        rotation = pool.rotation[g, i, p]
        pose = np.concatenate([rotation, pool.translation[g, i, p], pool.log_scale[g, i, p]])
        labels = {"rotation": rotation, "gaze": pool.gaze[g, p, d], "arkit": pool.arkit[g, d]}
        crop, labels = host_crops.make_crop(
            pool.images[g, i, p, d], pose.astype(np.float64), labels, 48, row(draws, k)
        )
        wanted.append(crop)
        for name, value in labels.items():
            np.testing.assert_allclose(getattr(found, name)[k], value, atol=1e-6)
    close(found.crop, wanted)


@pytest.mark.parametrize("size", [40, SIZE])
def test_heads_equal_the_loaders(pool, size):
    """Smaller ones are blurred first, without which noise would stay."""
    assert (host_heads.blur_before(SIZE, size) > 0) == (size < SIZE)
    if size < SIZE:
        noise = np.random.default_rng(1).integers(0, 256, pool.images.shape, np.uint8)
        pool = pool._replace(images=noise)
    draws = pose_images.sample_augmentations(jax.random.key(1), BATCH)
    assert set(np.asarray(draws.flip)) == {True, False}
    found = jax.jit(pose_images.pose_images_of, static_argnums=3)(
        jax.device_put(pool), PLACES, draws, size
    )
    wanted = []
    for k, (g, i, p, d) in enumerate(zip(*map(np.asarray, PLACES), strict=True)):
        pose = Pose(pool.rotation[g, i, p], pool.translation[g, i, p], pool.log_scale[g, i, p])
        image, pose = host_heads.transformed_image(
            pool.images[g, i, p, d], pose, size, row(draws, k)
        )
        wanted.append(image)
        for name, value in pose._asdict().items():
            np.testing.assert_allclose(getattr(found.pose, name)[k], value, atol=1e-6)
    close(found.image, wanted)


def test_warps_are_opencvs_enlargements():
    moves = np.random.default_rng(0).normal(size=(3, 4, 4, 2))
    found = face_crops.smooth_warps(jnp.asarray(moves, jnp.float32), 50)
    wanted = [host_crops.smooth_warp(each, 50) for each in moves]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    few = host_crops.symmetric(moves, 50)[0].astype(np.float32)
    again = cv2.resize(few, (50, 50), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(found[0], again, atol=1e-5)


KINDS = {
    "crops": (face_crops.sample_crops, dyn_encoder_struct),
    "heads": (pose_images.sample_pose_images, pose_struct),
}


@pytest.mark.parametrize("kind", KINDS)
def test_batches_have_their_struct_and_their_keys_draws(pool, kind):
    make, struct = KINDS[kind]
    sample = jax.jit(lambda pool, count, key: make(pool, count, key, BATCH, CONFIG))
    first, again, other = (sample(pool, jnp.int32(3), jax.random.key(k)) for k in (0, 0, 1))
    shapes = lambda tree: jax.tree.map(lambda s: (s.shape, s.dtype), tree)  # noqa: E731
    assert shapes(first) == shapes(struct(CONFIG))
    assert jax.tree.structure(first) == jax.tree.structure(struct(CONFIG))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.allclose(first[0], other[0])
    # Groups that are not filled are never seen: bytes there change nothing.
    half = sample(pool, jnp.int32(2), jax.random.key(0))
    hollow = pool._replace(images=pool.images.copy(), rotation=pool.rotation.copy())
    hollow.images[2:], hollow.rotation[2:] = 255, np.nan
    jax.tree.map(
        np.testing.assert_array_equal, half, sample(hollow, jnp.int32(2), jax.random.key(0))
    )
    seen = [sample(hollow, jnp.int32(3), jax.random.key(k)) for k in range(3)]
    assert any(np.isnan(np.asarray(x)).any() for x in jax.tree.leaves(seen))


def test_every_picture_is_drawn_alike(pool):
    places = jax.jit(lambda key: sample_cells(pool, jnp.int32(2), key, 4000))
    counts = np.zeros(pool.images.shape[:4])
    np.add.at(counts, tuple(map(np.asarray, places(jax.random.key(0)))), 1)
    assert not counts[2:].any()
    np.testing.assert_allclose(counts[:2] / 4000, 1 / counts[:2].size, atol=0.012)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_batch_has_its_shapes(kind):
    make, _ = KINDS[kind]
    sample = lambda pool, count, key: make(pool, count, key, 32, CONFIG)  # noqa: E731
    batch = jax.eval_shape(sample, group_struct(1000, 512, 16), jnp.int32(0), jax.random.key(0))
    assert batch[0].shape[0] == 32
