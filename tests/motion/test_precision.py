"""Where bf16 must not round: guidance, sampler and normalisation multiply what is left of it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motion_toys import debug_params, noisy, random_conditions

from vasa_jax.config import get_config
from vasa_jax.extensions.build import build_motion_model
from vasa_jax.inference.programs import inference_params
from vasa_jax.motion.dit import FLOAT32_PARTS
from vasa_jax.motion.sampler import LinenNetwork, make_plan, sample_window

CONFIG = get_config("debug", ["precision=bf16", "motion.extensions.residual_prior=true"])


def equations(jaxpr, name):
    """All equations of a primitive, those within others too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from equations(inner, name)


@pytest.mark.parametrize("adaln", [False, True])
def test_x0_is_not_rounded(adaln):
    config = get_config("debug", ["precision=bf16", *["motion.time_conditioning=adaln"] * adaln])
    params, (x_t, t) = debug_params(config), noisy(config, 4)
    x0 = jax.jit(build_motion_model(config).apply)(params, x_t, t, random_conditions(config, 4))
    assert x0.dtype == jnp.float32
    kept = x0 == x0.astype(jnp.bfloat16).astype(jnp.float32)
    assert kept.mean() < 0.05  # of float32 numbers one in 65,536 has no more digits


def test_a_small_change_of_motion_is_seen():
    """Of 2^-12: lost if what goes in, or the residual path, had bf16's eight bits."""
    params, (x_t, t) = debug_params(CONFIG), noisy(CONFIG, 4)
    apply = partial(jax.jit(build_motion_model(CONFIG).apply), params)
    one, two = (apply(x, t, random_conditions(CONFIG, 4)) for x in (x_t, x_t * (1 + 2**-12)))
    full = build_motion_model(get_config("debug", ["motion.extensions.residual_prior=true"]))
    far = np.subtract(
        *(
            jax.jit(full.apply)(params, x, t, random_conditions(CONFIG, 4))
            for x in (x_t, x_t * (1 + 2**-12))
        )
    )
    assert np.abs(two - one).max() > 0.1 * np.abs(far).max()


def test_tokens_stay_float32_and_attention_does_not():
    params, (x_t, t) = debug_params(CONFIG), noisy(CONFIG, 2)
    _, state = jax.eval_shape(
        partial(build_motion_model(CONFIG).apply, capture_intermediates=True),
        params,
        x_t,
        t,
        random_conditions(CONFIG, 2),
    )
    found = state["intermediates"]
    for i in range(CONFIG.motion.layers):
        block = found[f"blocks_{i}"]
        assert block["__call__"][0].dtype == jnp.float32
        assert block["query"]["__call__"][0].dtype == jnp.bfloat16
        assert block["mlp"]["__call__"][0].dtype == jnp.bfloat16


def test_the_samplers_state_is_float32():
    network, (plan, weights) = LinenNetwork(build_motion_model(CONFIG)), make_plan(CONFIG.diffusion)
    keys = jax.random.split(jax.random.key(0), 2)
    arguments = debug_params(CONFIG), random_conditions(CONFIG, 2), keys, weights
    with jax.default_matmul_precision("default"):  # tests have all of it at its highest
        traced = jax.make_jaxpr(partial(sample_window, network, plan))(*arguments)
    shape = (2, CONFIG.motion.window, CONFIG.face.motion_dim)
    (steps,) = equations(traced.jaxpr, "scan")
    carried = {(v.aval.shape, v.aval.dtype) for v in steps.outvars}  # nothing else comes out
    assert carried == {(shape, jnp.dtype(jnp.float32))}
    # Where motion enters and leaves, products are float32 on devices that have less by default.
    exact = [
        e.outvars[0].aval.dtype
        for e in equations(traced.jaxpr, "dot_general")
        if e.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2
    ]
    assert len(exact) == 6  # two layers each of x_t's embedding, the context's, and the head
    assert set(exact) == {jnp.dtype(jnp.float32)}


def test_inference_stores_these_parts_as_they_are():
    params = debug_params(CONFIG)["params"]
    kept = inference_params(
        {"face": {p: {} for p in ("embed", "warp_driver", "decoder")}, "motion": params},
        CONFIG.dtype,
    )["motion"]
    for part in FLOAT32_PARTS:
        assert {x.dtype for x in jax.tree.leaves(kept[part])} == {jnp.dtype(jnp.float32)}
    assert kept["blocks_0"]["query"]["kernel"].dtype == jnp.bfloat16
