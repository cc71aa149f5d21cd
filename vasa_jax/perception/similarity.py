"""Weighted similarity transforms between point sets."""

import numpy as np

from vasa_jax.typing import Float


def weighted_similarity(
    source: Float[np.ndarray, "n 3"],
    target: Float[np.ndarray, "t n 3"],
    weights: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "t 3 3"], Float[np.ndarray, " t"], Float[np.ndarray, "t 3"]]:
    """Weighted least squares: rotations, scales and shifts, target = scale * R source + shift.

    Umeyama 1991, with the weights of the squared distances; no reflection.
    """
    weights = weights / weights.sum()
    source_mean = weights @ source
    target_mean = np.einsum("n,tni->ti", weights, target)
    a, b = source - source_mean, target - target_mean[:, None]
    u, spread, vt = np.linalg.svd(np.einsum("n,tni,nj->tij", weights, b, a))
    sign = np.ones_like(spread)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = np.einsum("tij,tj,tjk->tik", u, sign, vt)
    scale = (spread * sign).sum(1) / (weights @ (a**2).sum(1))
    return rotation, scale, target_mean - scale[:, None] * (rotation @ source_mean)
