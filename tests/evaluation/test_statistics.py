"""The bootstrap interval against SciPy's, and summaries of known samples."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats

from vasa_jax.evaluation.statistics import Samples, Summary, bootstrap_interval


def test_bootstrap_is_scipys(rng):
    values = rng.gamma(2.0, size=40)
    found = bootstrap_interval(values, np.ones(40), resamples=20_000)
    wanted = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    np.testing.assert_allclose(found, wanted, rtol=0.01)
    with pytest.raises(ValueError, match="two groups"):
        bootstrap_interval(values[:1], np.ones(1))


def test_samples_count_groups_and_missing(rng):
    samples = Samples()
    samples.add("x", "anna", [1, 2, np.nan])
    samples.add("x", "ben", 6)
    found = samples.summary("x")
    assert (found.count, found.missing, found.groups) == (3, 1, 2)
    assert (found.mean, found.median) == (3, 2)
    # Only two people: the resamples are {anna twice, both, ben twice}.
    assert (found.low, found.high) == (1.5, 6)
    assert samples.summary("nothing") == Summary(0, 0, 0, None, None, None, None)
    samples.add_ratio("r", "anna", [1, 0], [10, 0])
    samples.add_ratio("r", "ben", 2, 5)
    found = samples.summary("r")
    assert found.count == 2
    np.testing.assert_allclose((found.mean, found.median), (3 / 15, 0.25))
