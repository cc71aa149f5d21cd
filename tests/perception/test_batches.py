"""Batches of one shape."""

import numpy as np

from vasa_jax.perception.batches import in_batches


def test_batches_of_one_shape_give_every_row():
    rng = np.random.default_rng(0)
    shapes = []

    def double(x, y):
        shapes.append(x.shape)
        return 2 * x + y

    x, y = rng.normal(size=(2, 11, 3))
    np.testing.assert_allclose(in_batches(double, (x, y), 4), 2 * x + y)
    assert shapes == [(4, 3)] * 3
