"""The Frechet distance against SciPy's matrix square root."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats

from vasa_jax.errors import UserError
from vasa_jax.evaluation.frechet import frechet_distance


@pytest.mark.parametrize("divisor", ["n", "n-1"])
@pytest.mark.parametrize("counts", [(30, 40), (9, 50), (5, 6)])
def test_frechet_distance_is_scipys(rng, divisor, counts):
    k = 12
    a = rng.normal(size=(counts[0], k)) @ rng.normal(size=(k, k))
    b = rng.normal(size=(counts[1], k)) + 0.5
    covs = [np.cov(x, rowvar=False, ddof=int(divisor == "n-1")) for x in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = scipy.linalg.sqrtm(covs[0] @ covs[1])
    wanted = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covs[0] + covs[1] - 2 * root.real)
    tight = min(counts) > k  # SciPy's root of a singular matrix has about half of its digits
    np.testing.assert_allclose(
        frechet_distance(a, b, divisor), wanted, rtol=1e-8 if tight else 1e-4
    )
    np.testing.assert_allclose(frechet_distance(a, a, divisor), 0, atol=1e-9)
    np.testing.assert_allclose(frechet_distance(a, a + 2.0, divisor), 4 * k)


def test_frechet_distance_refuses_one_video(rng):
    with pytest.raises(UserError, match="two videos"):
        frechet_distance(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(ValueError, match="divisor"):
        frechet_distance(np.ones((2, 3)), np.ones((5, 3)), "n-2")
