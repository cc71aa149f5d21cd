"""The Frechet distance of two sets of features (FID and FVD)."""

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Float

DIVISORS = ("n", "n-1")


def frechet_distance(
    a: Float[np.ndarray, "n k"], b: Float[np.ndarray, "m k"], divisor: str = "n-1"
) -> float:
    """|mean_a - mean_b|^2 + Tr(A + B - 2 (A B)^(1/2)) with the covariances A and B, in float64.

    divisor: of the covariances, "n-1" as numpy.cov (fvd-comparison, LatentSync) or "n" as
    StyleGAN-V and cd-fvd; they differ for few samples. Tr (A B)^(1/2) is the sum of the singular
    values of Xa Xb^T (X: centred rows / sqrt(divisor)), exact at any rank without a matrix root.
    Raises UserError for fewer than two rows on a side.
    """
    if divisor not in DIVISORS:
        raise ValueError(f"divisor {divisor!r} is not one of {', '.join(DIVISORS)}")
    if min(len(a), len(b)) < 2:
        raise UserError(
            f"a Frechet distance needs two videos or more on each side, got {len(a)} and {len(b)}"
        )
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = a - a.mean(0), b - b.mean(0)
    less = 1 if divisor == "n-1" else 0
    x, y = x / np.sqrt(len(a) - less), y / np.sqrt(len(b) - less)
    root = np.linalg.svd(_reduced(x) @ _reduced(y).T, compute_uv=False).sum()
    means = np.square(a.mean(0) - b.mean(0)).sum()
    return float(means + np.square(x).sum() + np.square(y).sum() - 2 * root)


def _reduced(x: np.ndarray) -> np.ndarray:
    """R of x = Q R where x has more rows than columns: equal singular values, fewer rows."""
    return np.asarray(np.linalg.qr(x, mode="r")) if x.shape[0] > x.shape[1] else x
