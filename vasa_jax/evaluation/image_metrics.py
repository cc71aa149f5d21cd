"""Pixel metrics of pairs of 8-bit images: PSNR, SSIM, and the gain of a change."""

import cv2
import numpy as np

from vasa_jax.typing import Float, Frames

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
IDENTICAL_DB = 100.0
"""PSNR of equal images, which keeps means finite."""


def psnr(a: Frames, b: Frames) -> Float[np.ndarray, " t"]:
    """Peak signal-to-noise ratio of each pair, dB: 10 log10(255^2 / MSE), at most `IDENTICAL_DB`.

    The mean is over all pixels and channels.
    """
    error = np.square(a.astype(np.float64) - b).mean((1, 2, 3))
    least = 255.0**2 / 10 ** (IDENTICAL_DB / 10)
    return 10 * np.log10(255.0**2 / np.maximum(error, least))


def ssim(a: Frames, b: Frames) -> Float[np.ndarray, " t"]:
    """Structural similarity of each pair (Wang et al. 2004), 1 for equal images.

    Gaussian window of 11 pixels, sigma 1.5; K1 0.01, K2 0.03; population covariances; mean over the
    channels and all windows inside the image. Raises ValueError for sides below 11 pixels.
    """
    if min(a.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(f"ssim: images of {a.shape[1:3]} are smaller than its window")
    return np.array(
        [_ssim(x.astype(np.float64), y.astype(np.float64)) for x, y in zip(a, b, strict=True)]
    )


def _ssim(x: np.ndarray, y: np.ndarray) -> float:
    mx, my = _blur(x), _blur(y)
    vx, vy, vxy = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
    value = (2 * mx * my + _C1) * (2 * vxy + _C2) / ((mx**2 + my**2 + _C1) * (vx + vy + _C2))
    edge = SSIM_WINDOW // 2
    return float(value[edge : -edge or None, edge : -edge or None].mean())


def _blur(x: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(x, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA)


def change_gain(
    change: Float[np.ndarray, "n h w c"], exact: Float[np.ndarray, "n h w c"]
) -> Float[np.ndarray, " n"]:
    """Projection of each change on the exact change: <change, exact> / <exact, exact>.

    1 for the exact change, 0 for a model that ignores its driver. change: our image with the driver
    minus our image without; exact: the same of the true images. NaN where the truth is constant.
    """
    power = np.square(exact).sum((1, 2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(power > 0, (change * exact).sum((1, 2, 3)) / power, np.nan)
