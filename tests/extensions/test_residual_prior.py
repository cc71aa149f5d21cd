"""The prior against Gaussian conditioning; samples and training on its residuals."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import multivariate_normal, norm

from vasa_jax.config import get_config
from vasa_jax.extensions.residual_prior import PARAMETER as PRIOR
from vasa_jax.extensions.residual_prior import (
    correlations,
    default_correlations,
    gaussian_prior,
    pack_correlation,
)
from vasa_jax.motion.conditions import null_conditions
from vasa_jax.motion.diffusion import Schedule
from vasa_jax.motion.sampler import make_plan, sample_window
from vasa_jax.motion.stats import MotionStats
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.mesh import single_device
from vasa_jax.training.motion_batch import motion_batch_struct
from vasa_jax.training.motion_trainer import motion_trainer

W, M = 6, 3


def _conditions(config, batch, context=None):
    c = null_conditions(config)
    c = jax.tree.map(lambda x: jnp.repeat(x, batch, 0), c)
    if context is None:
        return c
    return c._replace(motion_context=jnp.asarray(context), has_context=jnp.ones(batch, bool))


def test_prior_is_the_conditional_gaussian():
    """Conditioning the joint normal of two samples with correlation rho on the earlier one."""
    rng = np.random.default_rng(0)
    rho = rng.uniform(0, 0.999, (W, M))
    config = get_config("debug", ["motion.window=6", "motion.context=2"])
    context = rng.normal(size=(2, 2, M)).astype(np.float32)
    conditions = _conditions(config, 2)._replace(
        motion_context=jnp.asarray(context), has_context=jnp.asarray([True, False])
    )
    prior = gaussian_prior(pack_correlation(rho), conditions)
    for w, m in np.ndindex(W, M):
        draws = multivariate_normal([0, 0], [[1, rho[w, m]], [rho[w, m], 1]])
        c = context[0, -1, m]
        # p(x | c) at two places tells mean and deviation of a Gaussian of known height.
        x = float(prior.mean[0, w, m]) + float(prior.std[0, w, m]) * np.array([-1, 0, 1])
        found = draws.logpdf(np.stack([x, np.full(3, c)], -1)) - norm.logpdf(c)
        expected = norm.logpdf(np.array([-1, 0, 1])) - np.log(float(prior.std[0, w, m]))
        np.testing.assert_allclose(found, expected, atol=2e-3)
    assert (np.asarray(prior.mean[1]) == 0).all()
    assert (np.asarray(prior.std[1]) == 1).all()


def test_correlations_of_a_known_process():
    rng = np.random.default_rng(2)
    decay = np.array([0.5, 0.95, 0.0])
    clips = []
    for _ in range(20):
        x = np.zeros((2000, M))
        x[0] = rng.normal(size=M)
        for i in range(1, len(x)):
            x[i] = decay * x[i - 1] + np.sqrt(1 - decay**2) * rng.normal(size=M)
        clips.append(3 * x + 7)
    found = correlations(clips, np.full(M, 3.0), W)
    expected = decay ** np.arange(1, W + 1)[:, None]
    np.testing.assert_allclose(found, expected, atol=0.03)
    # Short clips: lags that none reaches are like the longest that one does.
    short = correlations([clips[0][:4]], np.full(M, 3.0), W)
    assert (short[3:] == short[2]).all()
    assert short.shape == (W, M)
    assert (correlations([clips[0][:1]], np.full(M, 3.0), W) == 0).all()
    np.testing.assert_allclose(correlations([np.ones((9, 2))], np.ones(2), 3), 1)


def test_storing_keeps_correlations_near_one_apart():
    rho = np.array([[0.9998, 0.999, 0.5, 1.0, 0.0]])
    stored = pack_correlation(rho).astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_allclose(1 - np.exp(stored), rho, atol=2e-5, rtol=2e-2)


@dataclass(frozen=True)
class KnowsTheResidual:
    """The best x0 of a standard normal one: E[x0 | x_t] = sqrt(alpha_bar) x_t."""

    spread: tuple[tuple[float, ...], ...]
    schedule: Schedule

    def target(self, params, conditions):
        return gaussian_prior(jnp.asarray(self.spread), conditions)

    def embed(self, params, conditions):
        return jnp.zeros(())

    def denoise(self, params, embedded, x_t, t):
        return jnp.asarray(self.schedule.alphas_bar)[t][:, None, None] ** 0.5 * x_t


def test_samples_are_drawn_from_the_prior():
    """Mean and deviation of what the sampler gives, where nothing but the prior is known."""
    settings = [
        f"motion.window={W}",
        "motion.context=2",
        "diffusion.steps=100",
        "diffusion.guidance_audio=0",
        "diffusion.guidance_gaze=0",
    ]
    config = get_config("debug", settings)
    rng, clips = np.random.default_rng(5), 4000
    rho = rng.uniform(0, 0.999, (W, config.face.motion_dim))
    context = rng.normal(size=(1, 2, config.face.motion_dim)).astype(np.float32)
    conditions = _conditions(config, clips, np.repeat(context, clips, 0))
    plan, weights = make_plan(config.diffusion)
    network = KnowsTheResidual(
        tuple(map(tuple, np.asarray(pack_correlation(rho)).tolist())), plan.schedule
    )
    keys = jax.random.split(jax.random.key(0), clips)
    fixed = np.zeros((clips, W, config.face.motion_dim), np.float32)
    fixed[:, :, 0] = 3.0
    draw = jax.jit(sample_window, static_argnums=(0, 1))
    x = np.asarray(
        draw(network, plan, {}, conditions, keys, weights, jnp.asarray(fixed), fixed > 0)
    )
    np.testing.assert_allclose(x[..., 0], 3.0, atol=1e-5)
    mean, std = rho * context[0, -1], np.sqrt(1 - rho**2)
    assert np.abs((x.mean(0) - mean) / std)[:, 1:].max() < 6 / np.sqrt(clips)
    np.testing.assert_allclose((x.std(0) / std)[:, 1:], 1, atol=0.1)


def test_training_is_the_plain_loss_on_residuals():
    told = ["train_motion.drop_context=0", "train_motion.velocity_weight=3", "motion.layers=1"]
    config, plain = (
        get_config("debug", [*told, f"motion.extensions.residual_prior={on}"])
        for on in ("true", "false")
    )
    k, w, dim = config.motion.context, config.motion.window, config.face.motion_dim
    rng = np.random.default_rng(6)
    stats = MotionStats(*(rng.uniform(0.5, 2, dim).astype(np.float32) for _ in range(2)))
    frozen = {"stats": stats, "correlations": rng.uniform(0, 0.999, (w, dim))}
    key, layout = jax.random.key(1), single_device()
    batch = next(FakeBatches(motion_batch_struct(config, 4)))
    known = (batch.motion[:, :k] - stats.mean) / stats.std
    prior = gaussian_prior(
        pack_correlation(frozen["correlations"]), _conditions(config, 4, known.astype(np.float32))
    )
    residual = prior.encode(jnp.asarray((batch.motion[:, k:] - stats.mean) / stats.std))
    moved = np.concatenate([batch.motion[:, :k], residual * stats.std + stats.mean], 1)

    ours, theirs = (motion_trainer(c, frozen, optax.sgd(1.0)) for c in (config, plain))
    start = ours.init(key, frozen)
    params = start.params | {
        "motion": {n: p for n, p in start.params["motion"].items() if n != PRIOR}
    }
    other = theirs.init(key, frozen)._replace(params=params)
    # Velocities count across a window's start only where motion itself is diffused.
    parts = [
        trainer.step(layout, state, frozen, b, key)[1]
        for trainer, state, b in (
            (ours, start, batch),
            (theirs, other, batch._replace(motion=moved)),
        )
    ]
    assert parts[0]["x0"] > 0.1
    np.testing.assert_allclose(parts[0]["x0"], parts[1]["x0"], rtol=1e-4)
    assert abs(parts[0]["velocity"] - parts[1]["velocity"]) > 1e-3


def test_default_falls_with_the_lag():
    found = default_correlations(50, 2)
    assert (np.diff(found, axis=0) < 0).all()
    assert found[24, 0] == pytest.approx(np.exp(-1))
    assert (
        get_config("debug").motion.extensions.residual_prior
        is get_config("vasa1").motion.extensions.residual_prior
        is False
    )
