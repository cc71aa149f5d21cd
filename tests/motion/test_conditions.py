"""Condition dropping, statistics and the continuity measure."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motion_toys import debug_config, debug_params, random_conditions, training_loss

from vasa_jax.errors import UserError
from vasa_jax.extensions.build import build_motion_model
from vasa_jax.motion.conditions import CONDITION_NAMES, drop_conditions, null_conditions, without
from vasa_jax.motion.continuity import boundary_jump_ratio
from vasa_jax.motion.stats import fit_stats


def test_drop_rates_and_tail():
    config, batch = debug_config(), 8000
    conditions = random_conditions(config, batch)
    dropped = jax.jit(drop_conditions, static_argnums=2)(
        jax.random.key(0), conditions, config.train_motion
    )
    for name in CONDITION_NAMES:
        rate = 1 - float(getattr(dropped, f"has_{name}").mean())
        assert rate == pytest.approx(0.5 if name == "context" else 0.1, abs=0.02)
    lengths = np.asarray(dropped.audio_valid.sum(1))
    assert (lengths < 20).mean() == pytest.approx(0.1, abs=0.02)
    assert set(lengths) == set(range(1, 21))
    # What is left is always the start of the window.
    np.testing.assert_array_equal(dropped.audio_valid, np.arange(20) < lengths[:, None])
    np.testing.assert_array_equal(dropped.audio, conditions.audio)


def test_drops_are_independent_and_never_bring_back():
    config = debug_config()
    dropped = drop_conditions(
        jax.random.key(1), random_conditions(config, 8000), config.train_motion
    )
    flags = np.stack([getattr(dropped, f"has_{name}") for name in CONDITION_NAMES])
    correlation = np.corrcoef(flags) - np.eye(len(flags))
    assert np.abs(correlation).max() < 0.05
    absent = drop_conditions(jax.random.key(1), null_conditions(config, 64), config.train_motion)
    assert not any(bool(getattr(absent, f"has_{n}").any()) for n in CONDITION_NAMES)
    assert not absent.audio_valid.any()
    keep = dataclasses.replace(
        config.train_motion, drop_condition=0.0, drop_context=0.0, drop_tail=0.0
    )
    full = random_conditions(config, 64)
    kept = drop_conditions(jax.random.key(1), full, keep)
    jax.tree.map(np.testing.assert_array_equal, kept, full)


def test_without_clears_one_flag():
    conditions = random_conditions(debug_config())
    for name in CONDITION_NAMES:
        changed = without(conditions, name)
        assert not getattr(changed, f"has_{name}").any()
        same = [f for f in conditions._fields if f != f"has_{name}"]
        assert all(getattr(changed, f) is getattr(conditions, f) for f in same)


def test_frames_after_the_end_do_not_reach_the_loss():
    """Neither what pads the motion nor what pads the audio changes the loss or its gradient."""
    config = debug_config()
    params, model = debug_params(config), build_motion_model(config)
    valid = jnp.broadcast_to(jnp.arange(20) < 12, (3, 20))
    conditions = random_conditions(config, 3)._replace(audio_valid=valid)
    x0 = jax.random.normal(jax.random.key(0), (3, 20, config.face.motion_dim))

    @jax.jit
    @jax.value_and_grad
    def loss(p, x0, audio):
        def denoise(x_t, t):
            return model.apply(p, x_t, t, conditions._replace(audio=audio), valid)

        return training_loss(denoise, config, jax.random.key(1), x0, valid)

    base = loss(params, x0, conditions.audio)
    padded = loss(params, x0.at[:, 12:].set(50.0), conditions.audio.at[:, 12:].set(-50.0))
    jax.tree.map(np.testing.assert_array_equal, base, padded)
    inside = loss(params, x0.at[:, 11].set(50.0), conditions.audio)
    assert abs(float(inside[0] - base[0])) > 1e-3


def test_stats_z_score_and_come_back():
    rng = np.random.default_rng(0)
    motion = rng.normal([1.0, -2.0, 7.0], [0.1, 30.0, 0.0], (500, 3)).astype(np.float32)
    stats = fit_stats(motion)
    scores = stats.normalise(motion)
    np.testing.assert_allclose(scores.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(scores.std(0), [1, 1, 0], atol=1e-4)
    assert stats.std[2] == 1  # never moves: no division by 0
    np.testing.assert_allclose(stats.denormalise(scores), motion, rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="at least one"):
        fit_stats(motion[:0])
    with pytest.raises(UserError, match="NaN"):
        fit_stats(np.full((3, 2), np.nan, np.float32))


def test_boundary_jump_ratio():
    ramp = np.arange(30, dtype=np.float32)[:, None] * np.ones(4, np.float32)
    assert boundary_jump_ratio(ramp, 10) == pytest.approx(1.0)
    stairs = ramp + 3 * (np.arange(30) // 10)[:, None].astype(np.float32)
    assert boundary_jump_ratio(stairs, 10) == pytest.approx(4.0)
    assert boundary_jump_ratio(stairs, 9) < 2  # counts the edges it is told
    with pytest.raises(UserError, match="no edge"):
        boundary_jump_ratio(ramp[:10], 10)
    with pytest.raises(UserError, match="nothing moves"):
        boundary_jump_ratio(ramp * 0, 10)
