"""The loss on how far lips are apart, against its definition written out frame by frame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_code import SCALE
from vasa_jax.extensions.lip_loss import CLOSURES, SHUT, SPREAD, lip_terms
from vasa_jax.lips import lips_apart
from vasa_jax.means import add_up
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import ARKIT, POSE_DIM

RNG = np.random.default_rng(0)
DIM = POSE_DIM + 60


def motion(arkit):
    """Motion in the face model's units with these coefficients, all else random."""
    rows = RNG.normal(size=(*arkit.shape[:-1], DIM)).astype(np.float32)
    rows[..., POSE_DIM : POSE_DIM + len(ARKIT)] = SCALE * arkit
    return rows


def mouths(*jaws):
    arkit = np.zeros((1, len(jaws), len(ARKIT)), np.float32)
    arkit[..., ARKIT.index("jawOpen")] = jaws
    arkit[..., ARKIT.index("mouthClose")] = 0.1
    return arkit


@pytest.fixture
def stats():
    return MotionStats(
        RNG.normal(size=DIM).astype(np.float32), RNG.uniform(0.5, 2, DIM).astype(np.float32)
    )


def value(stats, prediction, target, valid):
    error = stats.normalise(prediction) - stats.normalise(target)
    terms = lip_terms(2.0, stats, jnp.asarray(error), jnp.asarray(stats.normalise(target)), valid)
    total, parts = add_up(terms)
    np.testing.assert_allclose(total, 2 * parts["lips"], rtol=1e-6)
    return float(parts["lips"])


def test_it_is_the_squared_error_of_the_opening_and_closures_count_more(stats):
    truth, drawn = mouths(0.12, 0.5, 0.3, 0.1), mouths(0.3, 0.4, 0.3, 0.05)
    valid = jnp.ones((1, 4), bool)
    got = value(stats, motion(drawn), motion(truth), valid)
    wide, want = lips_apart(truth)[0], 0.0
    # The last is pressed harder than the truth: as shut as it.
    errors = [0.3 - 0.12, 0.4 - 0.5, 0.0, 0.0]
    counts = [CLOSURES if w < SHUT else 1.0 for w in wide]
    assert counts == [CLOSURES, 1.0, 1.0, CLOSURES]
    want = sum(c * (e / SPREAD) ** 2 for c, e in zip(counts, errors, strict=True)) / sum(counts)
    assert got == pytest.approx(want, rel=1e-3)


def test_frames_that_are_not_there_do_not_count(stats):
    truth, drawn = mouths(0.5, 0.5), mouths(0.5, 0.1)
    assert value(stats, motion(drawn), motion(truth), jnp.array([[True, False]])) < 1e-8
    assert value(stats, motion(drawn), motion(truth), jnp.array([[True, True]])) > 0.1


def test_its_gradient_closes_lips_and_moves_nothing_else(stats):
    truth, drawn = motion(mouths(0.1)), motion(mouths(0.4))
    target = jnp.asarray(stats.normalise(truth))

    def loss(prediction):
        terms = lip_terms(1.0, stats, prediction - target, target, jnp.ones((1, 1), bool))
        return add_up(terms)[0]

    grad = np.asarray(jax.grad(loss)(jnp.asarray(stats.normalise(drawn))))[0, 0]
    place = POSE_DIM + np.array([ARKIT.index("jawOpen"), ARKIT.index("mouthClose")])
    assert grad[place[0]] > 0 > grad[place[1]]
    assert not grad[:POSE_DIM].any()
    assert not grad[POSE_DIM + len(ARKIT) :].any()
    assert lip_terms(0.0, stats, target, target, jnp.ones((1, 1), bool)) == []


def test_a_code_without_coefficients_is_refused():
    with pytest.raises(UserError, match=r"train_motion\.lips_weight reads ARKit.*dyn_dim=32"):
        get_config("debug", ["train_motion.lips_weight=1", "face.dyn_dim=32"])
