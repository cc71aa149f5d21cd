"""Patches of eyes and mouth, against scipy's sampling, and the loss on them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from tests.face.toy import BATCH, NETWORKS, Toy, changed, face_loss, only, outputs_of, variables
from vasa_jax.errors import UserError
from vasa_jax.extensions.face_patches import (
    EYES_SIDE,
    MOUTH_SIDE,
    PATCH,
    discriminator_patches,
    face_patches,
    patch_loss,
)
from vasa_jax.face import forward

POINTS = np.array([[0.4, 0.42], [0.58, 0.38], [0.5, 0.5], [0.44, 0.62], [0.6, 0.58]], np.float32)


def test_patches_are_upright_squares_around_eyes_and_mouth():
    """What scipy samples (order 1) on the same grid, written out for one tilted face."""
    size = 128
    image = np.random.default_rng(0).random((1, size, size, 3), np.float32)
    got = face_patches(jnp.asarray(image), jnp.asarray(POINTS[None]))
    assert got.shape == (2, PATCH, PATCH, 3)
    eyes, mouth = POINTS[:2] * size - 0.5, POINTS[3:] * size - 0.5
    unit = np.linalg.norm(eyes.mean(0) - mouth.mean(0))
    for patch, pair, side in zip(got, (eyes, mouth), (EYES_SIDE, MOUTH_SIDE), strict=True):
        right = (pair[1] - pair[0]) / np.linalg.norm(pair[1] - pair[0])
        down = np.array([-right[1], right[0]])
        steps = (np.arange(PATCH) - (PATCH - 1) / 2) * side * unit / PATCH
        x, y = pair.mean(0)[:, None, None] + (
            right[:, None, None] * steps[None, None] + down[:, None, None] * steps[None, :, None]
        )
        want = np.stack(
            [
                map_coordinates(c, [y, x], order=1, mode="nearest")
                for c in image[0].T.swapaxes(1, 2)
            ],
            -1,
        )
        np.testing.assert_allclose(patch, want, atol=1e-4)


def test_a_patch_grows_with_pictures_of_more_than_256_pixels():
    shapes = [
        face_patches(jnp.zeros((2, side, side, 3)), jnp.asarray(np.stack([POINTS] * 2))).shape
        for side in (64, 256, 512)
    ]
    assert shapes == [(4, PATCH, PATCH, 3)] * 2 + [(4, 2 * PATCH, 2 * PATCH, 3)]


def test_the_loss_sees_eyes_and_mouth_alone_and_its_gradient_reaches_them():
    config, points = only(transfer=1.0).perceptual, jnp.asarray(POINTS[None])
    image = jnp.asarray(np.random.default_rng(1).random((1, 64, 64, 3)), jnp.float32)
    loss = lambda x: patch_loss(config, NETWORKS.vgg, x, image, points).value  # noqa: E731
    assert float(loss(image)) == 0
    assert float(loss(image.at[:, :8].add(0.5))) == 0  # above the eyes
    teeth = image.at[:, 36:40, 30:38].add(0.3)
    assert float(loss(teeth)) > 0
    where = np.abs(np.asarray(jax.grad(loss)(teeth))).sum((0, 3))
    assert where[36:40, 30:38].all()
    assert not where[:8].any()
    assert not where[58:].any()


def test_all_three_transfers_count_and_vgg_is_asked_for():
    out = outputs_of(only(transfer=1.0), forward.bind(Toy(), variables(Toy())), BATCH)
    config = only(transfer=1.0)
    config = dataclasses.replace(config, transfer=dataclasses.replace(config.transfer, patches=2.0))
    total, metrics = face_loss(config, BATCH, out, NETWORKS)
    without, _ = face_loss(only(transfer=1.0), BATCH, out, NETWORKS)
    three = (
        (out.driven, BATCH.driver.image, BATCH.driver.points),
        (out.decoded["pose_only"].image, BATCH.targets.pose_only, BATCH.driver.points),
        (out.decoded["dyn_only"].image, BATCH.targets.dyn_only, BATCH.source.points),
    )
    want = np.mean([patch_loss(config.perceptual, NETWORKS.vgg, *one).value for one in three])
    np.testing.assert_allclose(metrics["loss/patches"], want, rtol=1e-5)
    np.testing.assert_allclose(total - without, 2 * want, rtol=1e-4)
    alone = dataclasses.replace(config.transfer, perceptual=0.0)
    config = dataclasses.replace(config, transfer=alone)
    for lacking, name in ((NETWORKS._replace(vgg=None), "VGG"), (NETWORKS, "driver_points")):
        batch = BATCH if lacking.vgg is None else changed(BATCH, driver_points=None)
        with pytest.raises(UserError, match=f"transfer.patches.*{name}"):
            face_loss(config, batch, out, lacking)


def test_the_discriminator_can_see_the_patches_instead_of_the_picture():
    config = only(pixel=1.0)
    patches = dataclasses.replace(config.adversarial, face_patches=True, weight=1.0)
    config = dataclasses.replace(config, adversarial=patches)
    pair = discriminator_patches(config, BATCH, BATCH.source.image)
    mask = BATCH.driver.mask
    for seen, picture in zip(pair, (BATCH.driver.image, BATCH.source.image), strict=True):
        want = face_patches(jnp.asarray(picture * mask), jnp.asarray(BATCH.driver.points))
        assert seen.shape == (2 * len(picture), PATCH, PATCH, 3)
        np.testing.assert_allclose(seen, want, atol=1e-6)
    grey = discriminator_patches(config, BATCH, jnp.full_like(BATCH.driver.image, 0.5))[1]
    assert float(jnp.abs(grey - pair[1]).max()) > 0.1
    with pytest.raises(UserError, match=r"adversarial.*driver_points"):
        discriminator_patches(config, changed(BATCH, driver_points=None), BATCH.source.image)
