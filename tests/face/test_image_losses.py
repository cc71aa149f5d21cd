"""Image losses: equal images cost nothing, masks cut gradients, pyramids equal torch's."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from vasa_jax.config.losses import PerceptualLoss
from vasa_jax.face import image_losses as il
from vasa_jax.perception.vgg import VGG

RNG = np.random.default_rng(0)
TINY = VGG((1, 1, 1, 1, 1), widths=(4, 6, 8, 8, 8))
PARAMS = jax.jit(TINY.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
CONFIG = PerceptualLoss()


def vgg(x):
    return TINY.apply(PARAMS, x)


def images(size=32):
    return jnp.asarray(RNG.uniform(size=(2, size, size, 3)), jnp.float32)


@jax.jit
def perceptual(a, b):
    return il.perceptual_loss(
        CONFIG, il.pyramid_features(vgg, a, 4), il.pyramid_features(vgg, b, 4)
    )


def test_halving_equals_torch():
    x = jnp.asarray(RNG.uniform(size=(2, 14, 11, 3)), jnp.float32)[:, :, :10]
    want = torch.nn.functional.interpolate(
        torch.tensor(np.array(x)).permute(0, 3, 1, 2),
        scale_factor=0.5,
        mode="bilinear",
        antialias=True,
        align_corners=False,
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(il.halve(x), want, atol=1e-6)
    # A one-pixel chequerboard is beyond the smaller image's reach: away from the border it is grey.
    board = jnp.asarray(np.indices((16, 16)).sum(0) % 2, jnp.float32)[None, ..., None]
    np.testing.assert_allclose(il.halve(board)[:, 1:-1, 1:-1], 0.5, atol=1e-6)


def test_perceptual_is_zero_for_equal_images_and_grows_with_blur():
    x = images(64)
    assert float(perceptual(x, x)) == 0
    blurred = [jnp.asarray(gaussian_filter(x, (0, s, s, 0))) for s in (0.5, 1.0, 2.0)]
    values = [float(perceptual(x, y)) for y in blurred]
    assert 0 < values[0] < values[1] < values[2]


def test_perceptual_is_the_weighted_sum_of_feature_distances():
    a, b = images(), images()
    small = (a, il.halve(a)), (b, il.halve(b))
    want = sum(
        0.2 * np.abs(np.asarray(x) - np.asarray(y)).mean()
        for p, q in zip(*small, strict=True)
        for x, y in zip(vgg(p), vgg(q), strict=True)
    )
    # 32 px: the third scale would be 8 px, too small for five blocks, so two scales are used.
    np.testing.assert_allclose(perceptual(a, b), want, rtol=1e-4)


def test_no_gradient_leaves_the_foreground():
    a, b = images(), images()
    mask = jnp.zeros((2, 32, 32, 1)).at[:, 4:20, 6:18].set(1.0)

    def loss(a):
        x, y = il.masked(a, mask), il.masked(b, mask)
        return perceptual(x, y) + il.pixel_loss(x, y, mask).value

    grad = jax.grad(loss)(a)
    outside = jnp.broadcast_to(mask, grad.shape) == 0
    assert jnp.abs(grad[outside]).max() == 0
    assert (jnp.abs(grad[~outside]) > 0).mean() > 0.99


def test_pixel_loss_is_a_mean_over_the_mask():
    a, b = images(8), images(8)
    mask = jnp.asarray(RNG.uniform(size=(2, 8, 8, 1)), jnp.float32)
    want = np.average(np.abs(a - b), weights=np.broadcast_to(mask, a.shape))
    np.testing.assert_allclose(il.pixel_loss(a, b, mask).value, want, rtol=1e-5)
    both = [torch.tensor(np.array(x)) for x in (a, b)]
    np.testing.assert_allclose(il.pixel_loss(a, b).value, torch.nn.L1Loss()(*both), rtol=1e-5)
    assert float(il.pixel_loss(a, b, jnp.zeros_like(mask)).value) == 0


def test_regions_follow_the_face():
    points = jnp.asarray([[[0.3, 0.4], [0.6, 0.4], [0.45, 0.5], [0.35, 0.7], [0.55, 0.7]]])
    masks = il.region_masks(points, 100)
    assert masks.shape == (1, 100, 100, 2)
    eyes, mouth = masks[0, ..., 0], masks[0, ..., 1]
    assert min(eyes[39, 29], eyes[39, 59], mouth[69, 44]) > 0.95
    assert max(eyes[69, 44], mouth[39, 29], mouth[5, 5], eyes[95, 95]) < 0.02
    assert mouth[69, 34] > mouth[59, 44]  # wider than high
    turned = il.region_masks(points[..., ::-1], 100)[0, ..., 1]  # mirrored on the diagonal
    np.testing.assert_allclose(turned, mouth.T, atol=1e-5)
    box = il.box_mask(jnp.asarray([[0.2, 0.4, 0.6, 0.9]]), 100)[0, ..., 0]
    assert box[60, 40] > 0.99
    assert max(box[20, 40], box[60, 80], box[60, 5]) < 0.01


def test_region_loss_sees_only_its_region():
    a, b = images(), images()
    mask = jnp.zeros((2, 32, 32, 1)).at[:, 8:16, 8:16].set(1.0)
    grad = jax.grad(lambda a: il.pixel_loss(a, b, mask).value)(a)
    assert jnp.abs(grad[:, 20:]).max() == 0
    assert (jnp.abs(grad[:, 8:16, 8:16]) > 0).all()
    region = jax.jit(lambda a, b: il.region_perceptual_loss(CONFIG, vgg(a), vgg(b), mask).value)
    assert float(region(a, a)) == 0
    near = a.at[:, 8:16, 8:16].set(b[:, 8:16, 8:16])
    shallow = PerceptualLoss(tap_weights=(1.0, 0.0, 0.0, 0.0, 0.0))
    far = a.at[:, 24:].set(b[:, 24:])
    value = jax.jit(lambda a, b: il.region_perceptual_loss(shallow, vgg(a), vgg(b), mask).value)
    assert float(value(near, a)) > 0.01
    assert float(value(far, a)) < 1e-7


def test_feature_loss_has_no_gradient_to_its_target():
    a, b = images(16), images(16)
    to_a, to_b = jax.grad(lambda a, b: il.feature_loss((a,), (b,)), (0, 1))(a, b)
    assert jnp.abs(to_b).max() == 0
    np.testing.assert_allclose(to_a, np.sign(a - b) / a.size, atol=1e-9)
