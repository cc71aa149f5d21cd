"""Pairs of sources and drivers."""

import numpy as np

from vasa_jax.evaluation.disentanglement import draw_pairs


def test_pairs_differ_in_everything(rng):
    for source, drivers in draw_pairs((3, 4, 2), 5, 3, rng):
        assert len(drivers) == 3
        assert all(not np.equal(source, d).any() for d in drivers)
