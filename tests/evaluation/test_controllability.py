"""Response to a sweep against SciPy's linear regression."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats

from vasa_jax.evaluation import controllability


def test_response_to_a_sweep(rng):
    commands = np.array([-20.0, -10, 0, 10, 20])
    perfect = controllability.response(commands, 0.5 * commands + 3)
    np.testing.assert_allclose(perfect, (1, 1, 0.5))
    answers = commands + rng.normal(0, 8, 5)
    fit = scipy.stats.linregress(commands, answers)
    found = controllability.response(commands[::-1], answers[::-1])
    np.testing.assert_allclose((found.correlation, found.slope), (fit.rvalue, fit.slope))
    deaf = controllability.response(commands, np.ones(5))
    assert np.isnan(deaf.correlation)
    assert deaf.monotonic == deaf.slope == 0
    assert controllability.response(commands, -commands).monotonic == 0
    assert np.isnan(controllability.response(commands[:2], commands[:2]).slope)
    holed = np.array([-20.0, -10, np.nan, 10, 20])
    assert controllability.response(commands, holed) == pytest.approx((1, 0.5, 1))
