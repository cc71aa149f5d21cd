"""Mu-law against known values and its bound."""

import numpy as np

from vasa_jax.audio.mu_law import compress, expand


def test_mu_law():
    """The telephone's curve (ITU-T G.711's, continuous): known values, over 35 dB at any level of
    speech."""
    x = np.array([0, 32767, -32767], np.int16)
    np.testing.assert_array_equal(compress(x), [128, 255, 0])
    rng = np.random.default_rng(0)
    for level in (-40, -27, -19):
        wave = np.round(32767 * 10 ** (level / 20) * rng.standard_normal(20_000)).astype(np.int16)
        error = expand(compress(wave)) - wave.astype(float)
        assert 10 * np.log10(np.var(wave) / np.var(error)) > 35
        assert (np.abs(error) <= 3.5 + 0.022 * np.abs(wave.astype(float))).all()
