"""Schedules and samplers against diffusers; the loss and its masks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from vasa_jax.config import MotionTrainConfig, get_config
from vasa_jax.config.overrides import apply_overrides
from vasa_jax.errors import UserError
from vasa_jax.means import add_up
from vasa_jax.motion.diffusion import (
    DDIM,
    DPMSolver2M,
    Schedule,
    make_sampler,
    q_sample,
    spaced_timesteps,
    step,
    x0_terms,
)

SHAPE = (2, 6, 4)
MIX = np.random.default_rng(5).standard_normal((4, 4)) / 2


def toy(x, t, xp):
    """A nonlinear stand-in for the network that depends on x, its neighbours and t."""
    return xp.tanh(x @ xp.asarray(MIX, dtype=x.dtype) + 0.3 * xp.sin(xp.asarray(t / 50.0)))


class TorchLike:
    """numpy's names for torch, for `toy`."""

    tanh, sin = staticmethod(torch.tanh), staticmethod(torch.sin)

    @staticmethod
    def asarray(x, dtype=torch.float32):
        return torch.as_tensor(np.asarray(x), dtype=dtype)


def start(seed=0):
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def on_device(*arrays):
    return tuple(map(jnp.asarray, arrays))


def ours(sampler, schedule, steps, noises=None):
    """The whole trajectory of our table, in float32 under jit."""
    table = sampler.table(schedule, steps)
    draws = np.zeros((steps, *SHAPE), np.float32) if noises is None else noises

    def body(state, inputs):
        (x, previous), (row, noise) = state, inputs
        x0 = toy(x, row.t.astype(jnp.float32), jnp)
        x = step(row, x, x0, previous, noise)
        return (x, x0), x

    begin = jnp.asarray(start()), jnp.zeros(SHAPE)
    return table, np.asarray(jax.lax.scan(body, begin, (table, draws))[1])


def with_float64_table(scheduler, schedule, spacing):
    """diffusers holds alphas_bar in float32, so 1 - alphas_bar near step 0 is off by 0.1 %, which
    only "leading" and "linspace" visit; there its own formulas get the unrounded table."""
    if spacing != "trailing":
        scheduler.alphas_cumprod = torch.from_numpy(schedule.alphas_bar)
    return scheduler


def theirs(scheduler, steps, timesteps, noises=None):
    x, path = torch.from_numpy(start()), []
    for i, t in enumerate(scheduler.timesteps):
        assert int(t) == timesteps[i]
        x0 = toy(x, np.float32(t), TorchLike)
        extra = {}
        if noises is not None:
            extra = {"eta": 0.7, "variance_noise": torch.from_numpy(noises[i])}
        x = scheduler.step(x0, t, x, **extra).prev_sample
        path.append(x.numpy())
    return np.stack(path)


@pytest.mark.parametrize(("kind", "timesteps"), [("cosine", 1000), ("linear", 1000)])
def test_schedules_are_those_of_diffusers(kind, timesteps):
    name = {"cosine": "squaredcos_cap_v2", "linear": "linear"}[kind]
    theirs = DDIMScheduler(timesteps, 1e-4, 0.02, beta_schedule=name)
    schedule = Schedule(kind, timesteps)
    assert schedule.betas.dtype == np.float64
    np.testing.assert_allclose(schedule.betas, theirs.betas, rtol=2e-5)
    np.testing.assert_allclose(schedule.alphas_bar, theirs.alphas_cumprod, atol=2e-6)
    last = {"cosine": 2.4e-9, "linear": 4.04e-5}[kind]
    assert schedule.alphas_bar[-1] == pytest.approx(last, rel=0.02)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_short_schedules_still_end_in_noise(kind):
    assert Schedule(kind, 100).alphas_bar[-1] < 1e-4
    assert Schedule(kind, 500).alphas_bar[-1] < 1e-4


def test_q_sample_is_that_of_diffusers():
    schedule = Schedule("cosine", 1000)
    scheduler = DDIMScheduler(1000, trained_betas=schedule.betas)
    x0, noise, t = start(1), start(2), np.array([3, 870])
    expected = scheduler.add_noise(*map(torch.from_numpy, (x0, noise)), torch.from_numpy(t))
    np.testing.assert_allclose(q_sample(schedule, *on_device(x0, t, noise)), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_is_that_of_diffusers(kind, spacing, eta):
    schedule = Schedule(kind, 1000)
    scheduler = DDIMScheduler(
        1000,
        trained_betas=schedule.betas,
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing=spacing,
    )
    scheduler = with_float64_table(scheduler, schedule, spacing)
    scheduler.set_timesteps(50)
    noises = np.stack([start(100 + i) for i in range(50)]) if eta else None
    table, path = ours(DDIM(eta=eta, spacing=spacing), schedule, 50, noises)
    assert table.t[0] == {"trailing": 999, "leading": 980}[spacing]
    assert table.t[-1] == {"trailing": 19, "leading": 0}[spacing]
    np.testing.assert_allclose(path, theirs(scheduler, 50, table.t, noises), atol=1e-5, rtol=0)


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("steps", [10, 50])
@pytest.mark.parametrize("order", [1, 2])
def test_dpm_solver_is_that_of_diffusers(spacing, steps, order):
    """Order 1 is DDIM to the true next level: the oracle where DDIMScheduler goes to t - T // N."""
    schedule = Schedule("cosine", 1000)
    scheduler = DPMSolverMultistepScheduler(
        1000,
        trained_betas=schedule.betas,
        prediction_type="sample",
        algorithm_type="dpmsolver++",
        solver_order=order,
        final_sigmas_type="zero",
    )
    sampler = DPMSolver2M(spacing=spacing) if order == 2 else DDIM(spacing=spacing)
    table, path = ours(sampler, schedule, steps)
    scheduler = with_float64_table(scheduler, schedule, spacing)
    scheduler.set_timesteps(timesteps=table.t.tolist())
    np.testing.assert_allclose(path, theirs(scheduler, steps, table.t), atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [10, 30, 50])
def test_spacing_is_that_of_diffusers(steps):
    for spacing in ("trailing", "leading", "linspace"):
        scheduler = DDIMScheduler(1000, timestep_spacing=spacing)
        scheduler.set_timesteps(steps)
        np.testing.assert_array_equal(
            spaced_timesteps(spacing, 1000, steps), scheduler.timesteps.numpy()
        )


@pytest.mark.parametrize("sampler", [DDIM(), DDIM(eta=1.0), DPMSolver2M()])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_a_constant_prediction_is_returned_exactly(sampler, steps):
    table = sampler.table(Schedule("cosine", 100), steps)
    assert all(np.isfinite(column).all() for column in table)
    target, noise, x, previous = on_device(start(9), start(7), start(0), 0 * start(0))

    def body(state, row):
        return (step(row, *state[:1], target, state[1], noise), target), None

    (x, _), _ = jax.lax.scan(body, (x, previous), table)
    np.testing.assert_array_equal(x, target)


def test_make_sampler_reads_the_config():
    config = get_config("debug").diffusion
    assert make_sampler(config) == DDIM(eta=0.0, spacing="trailing")
    other = dataclasses.replace(config, sampler="dpmpp2m", spacing="leading")
    assert make_sampler(other) == DPMSolver2M(spacing="leading")
    assert make_sampler(dataclasses.replace(config, eta=0.5)) == DDIM(eta=0.5)
    for text in ("sampler=euler", "spacing=even", "schedule=sigmoid", "eta=2"):
        with pytest.raises(UserError, match=text.split("=")[0]):
            apply_overrides(get_config("debug"), [f"diffusion.{text}"])
    with pytest.raises(UserError, match="drop_tail"):
        get_config("debug", ["train_motion.drop_tail=1.5"])


def x0_loss(*arguments):
    return add_up(x0_terms(*arguments))


def test_loss_parts_against_torch():
    config = MotionTrainConfig(velocity_weight=0.5, smoothness_weight=0.1)
    prediction, target = start(1), start(2)
    loss, parts = x0_loss(*on_device(prediction, target, np.ones((2, 6), bool)), config)
    p, y = torch.from_numpy(prediction), torch.from_numpy(target)
    mse = torch.nn.functional.mse_loss
    bend = p.diff(n=2, dim=1)
    expected = {
        "x0": mse(p, y),
        "velocity": mse(p.diff(dim=1), y.diff(dim=1)),
        "smoothness": mse(bend, torch.zeros_like(bend)),
    }
    for name, value in expected.items():
        assert float(parts[name]) == pytest.approx(float(value), rel=1e-5)
    total = expected["x0"] + 0.5 * expected["velocity"] + 0.1 * expected["smoothness"]
    assert float(loss) == pytest.approx(float(total), rel=1e-5)
    plain, parts = x0_loss(
        *on_device(prediction, target, np.ones((2, 6), bool)), MotionTrainConfig()
    )
    assert set(parts) == {"x0"}
    assert float(plain) == pytest.approx(float(expected["x0"]), rel=1e-5)


def test_loss_of_a_short_clip_is_the_loss_of_its_frames():
    config = MotionTrainConfig(velocity_weight=0.5, smoothness_weight=0.1)
    prediction, target = start(1), start(2)
    valid = np.broadcast_to(np.arange(6) < 4, (2, 6))
    masked, _ = x0_loss(*on_device(prediction, target, valid), config)
    cut, _ = x0_loss(*on_device(prediction[:, :4], target[:, :4], np.ones((2, 4), bool)), config)
    assert float(masked) == pytest.approx(float(cut), rel=1e-6)
    empty, _ = x0_loss(*on_device(prediction, target, np.zeros((2, 6), bool)), config)
    assert float(empty) == 0


def test_differences_count_across_the_start_where_the_network_was_told_of_it():
    config = MotionTrainConfig(velocity_weight=0.5, smoothness_weight=0.1)
    prediction, target, before = start(1), start(2), start(3)[:, :3]
    told, valid = np.array([True, False]), np.ones((2, 6), bool)
    _, parts = x0_loss(*on_device(prediction, target, valid), config, *on_device(before, told))
    p, y, c = (torch.from_numpy(x) for x in (prediction, target, before))
    errors = [torch.cat([c[:1, -1:], x[:1]], 1).diff(dim=1) for x in (p, y)]
    errors = [errors[0] - errors[1], p[1:].diff(dim=1) - y[1:].diff(dim=1)]
    bends = [torch.cat([c[:1, -2:], p[:1]], 1).diff(n=2, dim=1), p[1:].diff(n=2, dim=1)]
    for name, rows in (("velocity", errors), ("smoothness", bends)):
        mean = torch.cat([row.flatten() for row in rows]).square().mean()
        assert float(parts[name]) == pytest.approx(float(mean), rel=1e-5)
    # What it was not told of has no say, whatever stands there.
    other = before.copy()
    other[1] = 1e6
    _, same = x0_loss(*on_device(prediction, target, valid), config, *on_device(other, told))
    assert float(same["velocity"]) == float(parts["velocity"])
