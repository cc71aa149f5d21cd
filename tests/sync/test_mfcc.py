"""MFCC against the package that SyncNet was trained with, and scipy's parts where it is absent."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vasa_jax.sync.mfcc import mfcc


@pytest.mark.parametrize("count", [32_000, 16_123, 401, 400, 399, 1])
def test_equals_python_speech_features(count):
    features = pytest.importorskip("python_speech_features")
    samples = np.random.default_rng(count).integers(-20_000, 20_000, count).astype(np.int16)
    samples[count // 3 : count // 2] = 0
    assert_allclose(mfcc(samples), features.mfcc(samples, 16_000), atol=1e-9)


def test_shapes_and_silence():
    assert mfcc(np.zeros(32_000, np.int16)).shape == (199, 13)
    assert np.isfinite(mfcc(np.zeros(4_000, np.int16))).all()
    assert mfcc(np.zeros(0, np.int16)).shape == (0, 13)


def test_the_first_coefficient_is_the_log_energy():
    """Of the emphasised signal's rectangular window, by Parseval over an FFT of 512 points."""
    wave = np.round(5000 * np.sin(np.arange(400) * 0.3)).astype(np.int16)
    emphasised = np.append(wave[:1], wave[1:] - 0.97 * wave[:-1])
    spectrum = np.abs(np.fft.rfft(emphasised, 512)) ** 2 / 512
    assert_allclose(mfcc(wave)[0, 0], np.log(spectrum.sum()))


def test_long_sound_goes_in_blocks(monkeypatch):
    samples = np.random.default_rng(1).integers(-900, 900, 9_000).astype(np.int16)
    whole = mfcc(samples)
    monkeypatch.setattr("vasa_jax.sync.mfcc._BLOCK", 10)
    assert_allclose(mfcc(samples), whole)
