"""Counted work: against XLA's own count, torch's, and numbers worked out by hand."""

import jax
import jax.numpy as jnp
import pytest
import torch
from jax import lax
from torch.utils.flop_counter import FlopCounterMode

from vasa_jax.benchmark.work import Work, count_jaxpr, count_work, work_by_kind
from vasa_jax.config import get_config
from vasa_jax.extensions.build import build_motion_model, init_motion_model
from vasa_jax.face.sampling import sample_volume
from vasa_jax.motion.sampler import LinenNetwork, make_plan, sample_windows

f32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)  # noqa: E731


def xla(function, *arguments):
    return jax.jit(function).lower(*arguments).cost_analysis()["flops"]


def conv(x, k, stride=1, holes=1, spread=1, padding=1, groups=1):
    return lax.conv_general_dilated(
        x,
        k,
        (stride, stride),
        [(padding, padding)] * 2,
        (holes, holes),
        (spread, spread),
        ("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"padding": 0}, {"holes": 2}, {"spread": 2, "padding": 2}, {"groups": 2}],
)
def test_convolutions_are_counted_as_xla_counts_them(options):
    x, k = f32(2, 9, 11, 4), f32(3, 3, 4 // options.get("groups", 1), 6)
    function = lambda x, k: conv(x, k, **options)  # noqa: E731
    assert count_work(function, x, k).flops == xla(function, x, k)


@pytest.mark.parametrize("wrt", [0, 1])
def test_gradients_of_convolutions_too(wrt):
    x, k = f32(2, 8, 8, 4), f32(3, 3, 4, 6)
    gradient = jax.grad(lambda x, k: conv(x, k, stride=2).sum() ** 2, wrt)
    counted = count_work(gradient, x, k).flops
    # XLA adds a few operations for the sum and its square.
    assert counted == pytest.approx(xla(gradient, x, k), rel=0.1)
    assert counted > count_work(lambda x, k: conv(x, k, stride=2), x, k).flops


def test_products_agree_with_torch():
    a, b = torch.zeros(3, 5, 7), torch.zeros(3, 7, 11)
    with FlopCounterMode(display=False) as counter:
        torch.bmm(a, b)
    counted = count_work(jnp.matmul, f32(3, 5, 7), f32(3, 7, 11))
    assert counted.flops == counter.get_total_flops() == 2 * 3 * 5 * 7 * 11
    assert counted.bytes == 4 * 3 * (5 * 7 + 7 * 11 + 5 * 11)
    # A cast on the way is read too; what is not used is not.
    half = lambda a, b, c: (a.astype(jnp.bfloat16) @ b, c)[0]  # noqa: E731
    counted = count_work(jax.jit(half), f32(2, 3), jax.ShapeDtypeStruct((3, 5), "bfloat16"), f32(9))
    assert counted.bytes == 4 * 2 * 3 + 2 * (2 * 3 + 3 * 5 + 2 * 5)


def test_loops_count_by_their_trips():
    body = lambda x, w: (x @ w, None)  # noqa: E731
    x, w = f32(8, 8), f32(5, 8, 8)
    scan = count_work(lambda x, w: lax.scan(body, x, w), x, w)
    once = 2 * 8**3
    assert scan.flops == 5 * once
    nested = lambda x, w: lax.scan(lambda c, _: (lax.scan(body, c, w)[0], None), x, None, 3)  # noqa: E731
    assert count_work(nested, x, w).flops == 15 * once
    loop = lambda x: lax.while_loop(lambda c: c.sum() < 1, lambda c: c @ c, x)  # noqa: E731
    assert count_work(loop, x) == Work(once, (2 + 3) * 4 * 64, 1)
    either = lambda p, x: lax.cond(p, lambda x: x @ x @ x, lambda x: x, x)  # noqa: E731
    assert count_work(either, jax.ShapeDtypeStruct((), bool), x).flops == 2 * once
    # Inside jit, remat and a custom gradient it is the same work.
    wrapped = jax.jit(jax.checkpoint(lambda x: x @ x))
    assert count_work(wrapped, x).flops == once
    assert count_jaxpr(wrapped.trace(x).jaxpr).flops == once


def test_gathers_move_what_they_read():
    volume, grid = f32(1, 4, 8, 8, 16), f32(2, 4, 8, 8, 3)
    work = count_work(sample_volume, volume, grid)
    points, ends = 2 * 4 * 8 * 8, 4 * (4 * 8 * 8 * 16 + 2 * 4 * 8 * 8 * (3 + 16))
    assert work.flops == 0
    # Eight corners: an index in, sixteen channels read and handed on.
    assert work.bytes == ends + 8 * points * (4 + 2 * 16 * 4)


def test_a_window_is_its_steps_times_one_evaluation():
    """The count of the whole sampler at the paper's size, against one network call of XLA's."""
    from vasa_jax.benchmark.motion_benchmarks import window_inputs
    from vasa_jax.motion.sampler import initial_carry

    config = get_config("vasa1")
    params = jax.eval_shape(lambda key: init_motion_model(config, key), jax.random.key(0))
    network, (plan, weights) = LinenNetwork(build_motion_model(config)), make_plan(config.diffusion)
    inputs = jax.eval_shape(lambda: window_inputs(config, 1))
    carry = jax.eval_shape(lambda: initial_carry(1, 10, config.face.motion_dim, 768))
    keys = jax.random.split(jax.random.key(0), 1)
    whole = count_work(
        lambda p, c, i, k, w: sample_windows(network, plan, p, c, i, k, w),
        params,
        carry,
        inputs,
        keys,
        weights,
    )
    tokens, frames = 4 + 10 + 10 + 50, 50  # all but the noisy motion; the step is added inside
    bf16 = jnp.bfloat16
    embedded = jax.ShapeDtypeStruct((3, tokens - 1, 512), bf16)
    x_t, t = f32(3, frames, config.face.motion_dim), jax.ShapeDtypeStruct((3,), jnp.int32)
    one = xla(network.denoise, params, embedded, x_t, t)
    assert whole.flops == pytest.approx(plan.steps * one, rel=0.05)
    assert whole.open_loops == 0


def test_kinds_of_work_add_up_to_the_whole():
    def step(x, k, w, at):
        def body(carry, _):
            return conv(carry, k), carry[at]

        x, seen = lax.scan(body, x, length=3)
        return (jax.nn.relu(x.reshape(-1, 4) @ w)).sum(), seen

    inputs = f32(5, 8, 8, 4), f32(3, 3, 4, 4), f32(4, 7), jax.ShapeDtypeStruct((2,), jnp.int32)
    closed = jax.jit(step).trace(*inputs).jaxpr
    kinds = work_by_kind(closed)
    assert set(kinds) == {"conv 2-D", "dot", "gather"}
    assert sum(work.flops for work in kinds.values()) == count_jaxpr(closed).flops
    assert kinds["conv 2-D"].flops == 3 * count_work(conv, *inputs[:2]).flops
    assert kinds["dot"] == count_work(jnp.matmul, f32(320, 4), inputs[2])
    grad = jax.jit(jax.grad(lambda x: x[jnp.array([1, 1])].sum())).trace(f32(5, 3)).jaxpr
    assert "scatter" in work_by_kind(grad)
    volume = (
        jax.jit(
            lambda v, k: lax.conv_general_dilated(
                v, k, (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
            )
        )
        .trace(f32(1, 4, 4, 4, 2), f32(3, 3, 3, 2, 2))
        .jaxpr
    )
    assert set(work_by_kind(volume)) == {"conv 3-D"}
