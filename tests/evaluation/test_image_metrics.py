"""PSNR and SSIM against scikit-image, and the gain of known changes."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vasa_jax.evaluation import image_metrics


def pictures(rng, noise):
    a = rng.integers(0, 256, (3, 24, 20, 3), np.uint8)
    a[1] = np.arange(20, dtype=np.uint8)[:, None] * 12  # smooth
    b = np.clip(a + rng.normal(0, noise, a.shape), 0, 255).astype(np.uint8)
    return a, b


@pytest.mark.parametrize("noise", [3.0, 40.0])
def test_psnr_and_ssim_are_scikit_images(rng, noise):
    a, b = pictures(rng, noise)
    wanted = [peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(image_metrics.psnr(a, b), wanted, rtol=1e-12)
    wanted = [
        structural_similarity(
            x,
            y,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(image_metrics.ssim(a, b), wanted, atol=1e-12)


def test_equal_images_are_perfect(rng):
    a, _ = pictures(rng, 1.0)
    assert (image_metrics.psnr(a, a) == image_metrics.IDENTICAL_DB).all()
    np.testing.assert_allclose(image_metrics.ssim(a, a), 1, atol=1e-12)
    with pytest.raises(ValueError, match="smaller"):
        image_metrics.ssim(a[:, :8], a[:, :8])


def test_change_gain_is_the_share_of_the_change(rng):
    exact = rng.normal(size=(4, 3, 3, 3))
    np.testing.assert_allclose(image_metrics.change_gain(0.3 * exact, exact), 0.3)
    exact[1] = 0
    assert np.isnan(image_metrics.change_gain(exact, exact)[1])
