"""The device's augmentations against OpenCV's and the host's, given the same draws."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recipes.demo.on_device import image_ops
from tests.data_pipeline.helpers import picture
from vasa_jax.data_pipeline import augment, augment_flip
from vasa_jax.data_pipeline.loading import image_codec as host
from vasa_jax.typing import ARKIT

SIZE = 64
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def images():
    """Three pictures as bytes; their JAX counterparts are `shares` of them."""
    return np.stack([picture(SIZE, 5, k) for k in range(3)])


def shares(images):
    return jnp.asarray(images, jnp.float32) / 255


def close(found, wanted, levels, mean=0.5):
    """In levels of a byte: at most so far apart anywhere, and in the mean."""
    off = np.abs(np.asarray(found, np.float64) * 255 - wanted)
    assert off.max() <= levels, off.max()
    assert off.mean() <= mean, off.mean()


def test_colours(images):
    matrices = image_ops.draw_colours(KEY, augment.STRONG, 3)
    assert matrices.dtype == jnp.float32
    wanted = [augment.recolour(i, m) for i, m in zip(images, np.asarray(matrices), strict=True)]
    close(jax.jit(image_ops.recolour)(shares(images), matrices), np.stack(wanted), 1)
    assert not np.allclose(matrices[0], matrices[1])
    # The same four numbers by numpy; and drawn within their limits.
    factors = np.random.default_rng(0).uniform(*augment.colour_limits(augment.STRONG))
    np.testing.assert_allclose(
        augment.colour_matrices(jnp.asarray(factors, jnp.float32)),
        augment.colour_matrix(*factors),
        atol=1e-6,
    )
    grey = jnp.full((300, 1, 1, 3), 0.5)
    brightness = image_ops.recolour(grey, image_ops.draw_colours(KEY, augment.STRONG, 300))[:, 0, 0]
    assert 0.3 <= brightness.min() < 0.32
    assert 0.68 < brightness.max() <= 0.7


@pytest.mark.parametrize("size", [64, 100, 256])
def test_thin_plate(size):
    rng = np.random.default_rng(1)
    draws = np.stack([augment.draw_warp(rng, 0.05) for _ in range(2)])
    found = image_ops.thin_plate(jnp.asarray(draws, jnp.float32), size)
    wanted = np.stack([augment.thin_plate(draw, size) for draw in draws])
    # OpenCV rounds positions between the lattice's points to 1/32.
    np.testing.assert_allclose(found, wanted, atol=2e-3 if size != 100 else 0.1)
    np.testing.assert_allclose(np.mean(found - wanted), 0, atol=1e-3)


def test_drawn_warps_have_no_affine_part():
    warps = np.asarray(image_ops.draw_warps(KEY, 0.02, 400))
    side = np.linspace(0, 1, augment.CONTROL)
    plane = np.array([(1, x, y) for y in side for x in side])
    np.testing.assert_allclose(np.einsum("kp,bkc->bpc", plane, warps), 0, atol=1e-5)
    rng = np.random.default_rng(0)
    wanted = np.std([augment.draw_warp(rng, 0.02) for _ in range(400)])
    np.testing.assert_allclose(warps.std(), wanted, rtol=0.02)


def test_warp_mirrors_at_the_borders(images):
    places = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1).astype(np.float32)
    rng = np.random.default_rng(2)
    # Multiples of 1/32, which OpenCV does not round; up to more than a picture outside.
    steps = [rng.integers(-3000, 3000, (SIZE, SIZE, 2)) / 32 for _ in images]
    places = np.stack([places + step for step in steps]).astype(np.float32)
    assert places.min() < -SIZE
    wanted = [augment.warp(i, p) for i, p in zip(images, places, strict=True)]
    close(image_ops.warp(shares(images), jnp.asarray(places)), np.stack(wanted), 1)


def test_a_whole_thin_plate_warp(images):
    rng = np.random.default_rng(3)
    draws = np.stack([augment.draw_warp(rng, 0.02) for _ in images])
    wanted = [
        augment.warp(i, augment.thin_plate(d, SIZE)) for i, d in zip(images, draws, strict=True)
    ]
    places = image_ops.thin_plate(jnp.asarray(draws, jnp.float32), SIZE)
    close(image_ops.warp(shares(images), places), np.stack(wanted), 0.02 * 255)


def test_box(images):
    boxes = np.array([[0.25, 0.5, 0.75, 1.4], [-0.3, 0.11, 0.52, 0.9], [0.6, 0.6, 0.4, 0.4]])
    fill = np.random.default_rng(0).integers(0, 256, (3, 3)).astype(np.float64)
    wanted = [augment.keep_box(*each) for each in zip(images[:2], boxes[:2], fill[:2], strict=True)]
    found = image_ops.keep_box(shares(images), jnp.asarray(boxes, jnp.float32), shares(fill))
    close(found[:2], np.stack(wanted), 0.01)
    close(found[2], np.broadcast_to(fill[2], found[2].shape), 0.01)  # an empty box


@pytest.mark.parametrize("small", [64, 32, 16])
def test_shrink(images, small):
    wanted = np.stack([host.shrink(image, small) for image in images])
    close(image_ops.shrink(shares(images), small), wanted, 1)
    with pytest.raises(ValueError, match="64 px cannot be shrunk to 48 px"):
        image_ops.shrink(shares(images), 48)


@pytest.mark.parametrize("sigma", [0.7, 1.25, 4.0])
def test_blur(sigma):
    noise = np.random.default_rng(4).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    wanted = np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in noise])
    close(image_ops.blur(shares(noise), sigma), wanted, 1.5)


def test_mirror(images):
    found = image_ops.mirror(jnp.asarray(images), jnp.array([True, False, True]))
    np.testing.assert_array_equal(found[0], images[0, :, ::-1])
    np.testing.assert_array_equal(found[1], images[1])
    assert found.dtype == jnp.uint8


LABELS = {"rotation": 3, "translation": 3, "gaze": 2, "points": (5, 2), "arkit": len(ARKIT)}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_mirrored_alike(name):
    flip = getattr(augment_flip, f"flip_{name}")
    value = (
        np.random.default_rng(0).normal(size=(4, *np.atleast_1d(LABELS[name]))).astype(np.float32)
    )
    found = jax.jit(flip)(jnp.asarray(value))
    assert found.dtype == flip(value).dtype == np.float32
    np.testing.assert_allclose(found, flip(value), rtol=1e-6)
    assert np.abs(flip(value) - value).max() > 0.1
