"""Diversity of samples of known difference."""

import numpy as np
import pytest

from vasa_jax.evaluation import audio_driven


def test_diversity_of_seeds(rng):
    one = rng.normal(size=(1, 6, 12))
    std = np.full(12, 2.0)
    same = audio_driven.diversity(np.repeat(one, 3, 0), std)
    np.testing.assert_allclose(same, (0, 0), atol=1e-9)
    other = one.copy()
    other[..., 1] += np.radians(10)  # yaw on top of whatever pitch and roll: 10 degrees about y
    other[..., 7:] += 1.0
    flat = np.concatenate([one, other])
    flat[..., [0, 2]] = 0
    np.testing.assert_allclose(audio_driven.diversity(flat, std), (10, 0.5))
    with pytest.raises(ValueError, match="two"):
        audio_driven.diversity(one, std)
