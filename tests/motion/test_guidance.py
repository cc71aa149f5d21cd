"""Guidance against its formula, branch by branch, and what it costs."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motion_toys import debug_config, random_conditions

from vasa_jax.config import DiffusionConfig
from vasa_jax.motion.conditions import CONDITION_NAMES
from vasa_jax.motion.guidance import (
    combine_branches,
    guidance_weights,
    repeat_branches,
    stack_branches,
)

SUBSETS = [s for n in range(6) for s in combinations(CONDITION_NAMES, n)]


def linear_network(conditions, x):
    """H = x + a sum of one known term per condition that is present."""
    terms = {
        "audio": conditions.audio.mean((1, 2)),
        "gaze": 3 * conditions.gaze.sum(1),
        "distance": 5 * conditions.distance[:, 0],
        "emotion": 7 * conditions.emotion.sum(1),
        "context": 11 * conditions.motion_context.mean((1, 2)),
    }
    total = sum(
        jnp.where(getattr(conditions, f"has_{name}"), term, 0.0) for name, term in terms.items()
    )
    return x + total[:, None, None], terms


@pytest.mark.parametrize("names", SUBSETS, ids=lambda s: "+".join(s) or "none")
def test_formula_for_every_subset(names):
    config = debug_config()
    conditions = random_conditions(config, 3)
    weights = np.array([0.5, 1.0, 2.0, 0.25, -0.3], np.float32)[: len(names)]
    x = jax.random.normal(jax.random.key(0), (3, 20, 23))
    stacked, repeated = stack_branches(conditions, names), repeat_branches(x, len(names))
    assert len(repeated) == len(stacked.audio) == 3 * (1 + len(names))
    guided = combine_branches(linear_network(stacked, repeated)[0], jnp.asarray(weights))

    # For a linear network the formula collapses to H + sum_c lambda_c * (the term of c).
    full, terms = linear_network(conditions, x)
    expected = full + sum(
        w * terms[name][:, None, None] for w, name in zip(weights, names, strict=True)
    )
    np.testing.assert_allclose(guided, expected, atol=2e-4, rtol=1e-4)


def test_a_weight_of_zero_has_no_branch():
    paper = DiffusionConfig()
    assert guidance_weights(paper) == {"audio": 0.5, "gaze": 1.0}
    none = DiffusionConfig(guidance_audio=0.0, guidance_gaze=0.0)
    assert guidance_weights(none) == {}
    all_five = DiffusionConfig(guidance_distance=0.1, guidance_emotion=0.2, guidance_context=0.3)
    assert list(guidance_weights(all_five)) == list(CONDITION_NAMES)


def test_weights_are_traced():
    traces = []

    @jax.jit
    def run(x, weights):
        traces.append(1)
        return combine_branches(x, weights)

    x = jax.random.normal(jax.random.key(0), (6, 4, 5))
    first, second = run(x, jnp.array([0.5, 1.0])), run(x, jnp.array([0.0, 0.0]))
    assert len(traces) == 1
    np.testing.assert_allclose(second, x[::3], atol=1e-6)
    expected = 2.5 * x[::3] - 0.5 * x[1::3] - x[2::3]
    np.testing.assert_allclose(first, expected, atol=1e-5)
