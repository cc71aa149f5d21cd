"""Lip sync against NumPy's and SciPy's correlation, and apertures of known phonemes."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats

from vasa_jax.evaluation import lip_sync


def test_correlation_is_numpys_on_the_known_frames(rng):
    a, b = rng.normal(size=(2, 40))
    b = b + a
    a[3] = b[7] = np.nan
    known = np.isfinite(a) & np.isfinite(b)
    wanted = np.corrcoef(a[known], b[known])[0, 1]
    np.testing.assert_allclose(lip_sync.correlation(a, b), wanted, rtol=1e-12)
    assert np.isnan(lip_sync.correlation(np.full(40, 0.1), b))
    assert np.isnan(lip_sync.correlation(a[:4], b[:4]))


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_audio_offset_finds_a_delay(rng, late):
    truth = np.convolve(rng.normal(size=120), np.ones(4), "same")
    ours = np.roll(truth, late) + 0.3 * rng.normal(size=120)
    found = lip_sync.lagged_correlation(ours, truth)
    assert lip_sync.audio_offset(found) == late
    # SciPy's own cross-correlation has its peak there, too.
    lags = scipy.signal.correlation_lags(120, 120)
    full = scipy.signal.correlate(ours - ours.mean(), truth - truth.mean())
    assert lags[full.argmax()] == late
    for lag, a, b in ((2, ours[2:], truth[:-2]), (-3, ours[:-3], truth[3:])):
        np.testing.assert_allclose(found[10 + lag], np.corrcoef(a, b)[0, 1])
    assert np.isnan(lip_sync.audio_offset(np.full(21, np.nan)))


def test_closures_of_bilabials():
    phonemes = ("sil", "p", "p", "a", "m", "b", "a", "a", "a", "p", "a")
    aperture = np.full(11, 0.2)
    aperture[2] = 0.01  # the first closes, the second (m and b) does not, the third was not seen
    aperture[8:] = np.nan
    assert lip_sync.segments(phonemes, frozenset("pbm")) == [(1, 3), (4, 6), (9, 10)]
    np.testing.assert_equal(lip_sync.closures(aperture, phonemes), [1, 0, np.nan])
    aperture[7] = 0.0  # one frame too far from the second
    assert lip_sync.closures(aperture, phonemes)[1] == 0
    assert lip_sync.closures(aperture, phonemes, slack=2)[1] == 1
    assert len(lip_sync.closures(aperture, ("a",) * 11)) == 0


def test_aperture_errors_by_class():
    phonemes = ("p", "m", "f", "æ", "t", "")
    ours = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 9.0])
    found = lip_sync.aperture_errors(ours, np.zeros(6), phonemes)
    np.testing.assert_allclose(found["p b m"], [10, 20])
    np.testing.assert_allclose(found["open"], [40])
    np.testing.assert_allclose(found["other"], [50])
    assert len(found["pause"]) == 0
