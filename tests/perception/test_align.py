"""Aligned crops against OpenCV, torch and scikit-image."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.transform
import torch

from vasa_jax.perception import align

RNG = np.random.default_rng(0)


def posed(template, scale, angle, shift, noise=0.0):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    points = np.asarray(template) @ np.array([[c, s], [-s, c]]) + shift
    return points + RNG.normal(size=points.shape) * noise


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_similarity_equals_umeyama(noise):
    template = np.array(align.ARCFACE.template)
    points = np.stack(
        [posed(template, 2.0, 0.3, (10, 20), noise), posed(template, 0.5, -2.0, (-3, 5), noise)]
    )
    got = jax.jit(align.similarity)(points.astype(np.float32), jnp.asarray(template, jnp.float32))
    for p, m in zip(points, got, strict=True):
        want = skimage.transform.SimilarityTransform.from_estimate(p, template).params[:2]
        np.testing.assert_allclose(m, want, atol=2e-4)
        inverse = align.invert(m[None])[0]
        np.testing.assert_allclose(inverse, np.linalg.inv(np.vstack([m, [0, 0, 1]]))[:2], atol=1e-3)


def matrices():
    return np.array(
        [[[1.3, -0.2, 3.0], [0.2, 1.3, -2.0]], [[0.5, 0.4, 8.3], [-0.4, 0.5, 20.7]]], np.float32
    )


def test_warp_and_its_gradient_equal_torch_grid_sample():
    images = RNG.uniform(size=(2, 40, 31, 3)).astype(np.float32)
    weights = RNG.normal(size=(2, 24, 24, 3)).astype(np.float32)
    row, column = np.mgrid[:24, :24].astype(np.float32)
    points = np.einsum("bij,hwj->bhwi", matrices(), np.stack([column, row, np.ones_like(row)], -1))
    grid = torch.tensor(points / np.array([30, 39]) * 2 - 1, dtype=torch.float32)
    x = torch.tensor(images, requires_grad=True)
    want = torch.nn.functional.grid_sample(
        x.permute(0, 3, 1, 2), grid, padding_mode="border", align_corners=True
    ).permute(0, 2, 3, 1)
    (want * torch.tensor(weights)).sum().backward()

    def loss(images):
        chips = align.warp(images, jnp.asarray(matrices()), 24)
        return jnp.sum(chips * weights), chips

    (_, got), grad = jax.jit(jax.value_and_grad(loss, has_aux=True))(images)
    np.testing.assert_allclose(got, want.detach(), atol=1e-5)
    np.testing.assert_allclose(grad, x.grad, atol=1e-4)
    # Outside the image the edge colour repeats, and something does lie outside here.
    assert ((points < 0) | (points > [30, 39])).any()


def test_warp_equals_opencv():
    image = RNG.uniform(size=(40, 31, 3)).astype(np.float32)
    image = cv2.GaussianBlur(image, (5, 5), 1.0)
    got = align.warp(jnp.asarray(image[None]), jnp.asarray(matrices()[:1]), 24)[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    want = cv2.warpAffine(
        image,
        matrices()[0].astype(np.float64),
        (24, 24),
        flags=flags,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # OpenCV rounds positions to 1/32 pixel.
    assert np.abs(got - want).max() < 0.02


@pytest.mark.parametrize("alignment", [align.ARCFACE, align.DLIB])
def test_crop_puts_points_on_the_template_at_any_resolution(alignment):
    """Dots painted at the points appear at the template; `shrink` changes nothing but sharpness."""
    size = 256
    points = posed(alignment.template, 1.4 * 112 / alignment.size, 0.2, (40, 20))[None]
    row, column = np.mgrid[:size, :size]
    for i, target in enumerate(alignment.template):
        dot = np.exp(-((column - points[0, i, 0]) ** 2 + (row - points[0, i, 1]) ** 2) / 32)
        image = jnp.asarray(np.repeat(dot[None, ..., None], 3, -1), jnp.float32)
        for shrink in (1, 2):
            fractions = jnp.asarray((points + 0.5) / size, jnp.float32)
            chip = np.asarray(align.aligned_crop(image, fractions, alignment, shrink))[0, ..., 0]
            y, x = np.mgrid[: alignment.size, : alignment.size]
            found = np.array([(chip * x).sum(), (chip * y).sum()]) / chip.sum()
            # dlib's own convention moves its chip by half a pixel, more where the face is enlarged.
            assert np.abs(found - target).max() < (0.8 if alignment.dlib else 0.1)


def test_no_gradient_reaches_the_points():
    image = jnp.asarray(RNG.uniform(size=(1, 64, 64, 3)), jnp.float32)
    points = jnp.asarray(posed(align.ARCFACE.template, 0.4, 0.1, (5, 5))[None] / 64, jnp.float32)

    def loss(image, points):
        return jnp.sum(jnp.square(align.aligned_crop(image, points, align.ARCFACE)))

    to_image, to_points = jax.grad(loss, (0, 1))(image, points)
    assert np.abs(to_image).max() > 0
    assert np.abs(to_points).max() == 0
    # Degenerate points give a finite crop and gradient, not NaN.
    for a in jax.grad(loss, (0, 1))(image, jnp.full((1, 5, 2), 0.5)):
        assert jnp.isfinite(a).all()
