"""The motion transformer: size, parity with torch, and what each key and flag changes."""

import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from motion_toys import (
    debug_config,
    debug_params,
    leaf_names,
    load_torch_twin,
    mixed_conditions,
    noisy,
    random_conditions,
)

from vasa_jax.config import MotionExtensions, get_config
from vasa_jax.config.overrides import apply_overrides
from vasa_jax.errors import UserError
from vasa_jax.extensions.build import build_motion_model, init_motion_model
from vasa_jax.motion.conditions import CONDITION_NAMES
from vasa_jax.motion.dit import timestep_embedding

KEYS = {
    "plain": {},
    "adaln": {"time_conditioning": "adaln"},
    "band": {"audio_attention": "band", "audio_band": 2},
    "short": {"window": 12, "context": 3},
}


def table(name, *overrides):
    config = apply_overrides(get_config(name), overrides)
    params = jax.eval_shape(partial(init_motion_model, config), jax.random.key(0))["params"]
    sizes = {}
    for path, leaf in leaf_names(params).items():
        part = path.split("'")[1].split("_")[0]
        sizes[part] = sizes.get(part, 0) + leaf.size
    return sizes


def test_parameter_table_of_the_paper_size():
    sizes = table("vasa1")
    d, m, a = 512, 519, 768
    layer = 4 * d * (d + 1) + d * 4 * d + 4 * d + 4 * d * d + d + 4 * d
    assert sizes["blocks"] == 8 * layer  # 25.22M
    assert sizes["motion"] == (m + 1) * d + (d + 1) * d
    assert sizes["audio"] == (a + 1) * d + (d + 1) * d
    assert sizes["time"] == (d + 1) * 4 * d + (4 * d + 1) * d
    assert sizes["head"] == (d + 1) * d + (d + 1) * m
    assert sizes["frame"] == 60 * d
    assert sum(sizes.values()) == pytest.approx(29e6, rel=0.03)


def test_window_and_adaln_change_the_table_as_meant():
    plain = table("vasa1")
    longer = table("vasa1", "motion.window=100", "motion.context=25")
    assert longer.pop("frame") == 125 * 512
    assert longer == {k: v for k, v in plain.items() if k != "frame"}
    adaln = table("vasa1", "motion.time_conditioning=adaln")
    assert adaln["time"] - plain["time"] == 513 * 6 * 512
    assert adaln["blocks"] - plain["blocks"] == 8 * 6 * 512
    assert plain["type"] - adaln["type"] == 512  # no time token


def test_bf16_keeps_float32_parameters_and_output():
    config = apply_overrides(get_config("debug"), ["precision=bf16"])
    params = debug_params(config)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    x_t, t = noisy(config)
    args = (params, x_t, t, random_conditions(config))
    low = jax.jit(build_motion_model(config).apply)(*args)
    full = jax.jit(build_motion_model(debug_config()).apply)(*args)
    assert low.dtype == jnp.float32
    error = float(jnp.abs(low - full).max() / jnp.abs(full).max())
    assert 0 < error < 0.05


@pytest.mark.parametrize("width", [32, 512])
def test_timestep_embedding_is_that_of_diffusers(width):
    t = np.array([0, 1, 17, 999])
    expected = get_timestep_embedding(torch.from_numpy(t), width, downscale_freq_shift=0)
    np.testing.assert_allclose(timestep_embedding(jnp.asarray(t), width), expected, atol=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_parity_with_torch(key):
    config = debug_config(**KEYS[key])
    params = debug_params(config, 1)
    x_t, t = noisy(config, 4)
    conditions = mixed_conditions(config, 4)
    ours = jax.jit(build_motion_model(config).apply)(params, x_t, t, conditions)

    twin = load_torch_twin()
    model = twin.TorchMotionTransformer(config.motion, config.face.motion_dim, config.audio.dim)
    twin.load_flax(model, params)
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in conditions._asdict().items()}
    with torch.no_grad():
        embedded = model.embed(types.SimpleNamespace(**tensors))
        theirs = model.denoise(embedded, torch.tensor(np.array(x_t)), torch.tensor(np.array(t)))
    assert float(jnp.abs(ours).max()) > 0.1
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("prior", [False, True])
def test_embed_then_denoise_is_call(prior):
    config = debug_config(extensions=MotionExtensions(residual_prior=prior))
    model, params = build_motion_model(config), debug_params(config)
    x_t, t = noisy(config)
    conditions = random_conditions(config)
    embedded = jax.jit(partial(model.apply, method="embed"))(params, conditions)
    assert embedded.shape == (2, 3 + 2 * 5 + 20, 32)
    split = jax.jit(partial(model.apply, method="denoise"))(params, embedded, x_t, t)
    np.testing.assert_allclose(
        split, jax.jit(model.apply)(params, x_t, t, conditions), atol=1e-5, rtol=0
    )


def reach(config, wrt):
    """|d out frame i / d audio frame j|, summed over channels, with weights of usual size."""
    params = debug_params(config)
    x_t, t = noisy(config, 1)
    conditions = random_conditions(config, 1)

    def out(audio):
        c = conditions._replace(**{wrt: audio})
        return build_motion_model(config).apply(params, x_t, t, c)[0].sum(-1)

    return np.abs(jax.jit(jax.jacrev(out))(getattr(conditions, wrt))).sum((1, 3))


def test_band_limits_audio_within_one_layer():
    config = debug_config(layers=1, audio_attention="band", audio_band=2)
    i, j = np.mgrid[:20, :20]
    near = np.abs(i - j) <= 2
    audio = reach(config, "audio")
    assert (audio[near] > 0).all()
    assert (audio[~near] == 0).all()
    i, j = np.mgrid[:20, -5:0]
    near = np.abs(i - j) <= 2
    context = reach(config, "audio_context")
    assert (context[near] > 0).all()
    assert (context[~near] == 0).all()
    assert (reach(config, "motion_context") > 0).all()
    assert (reach(debug_config(layers=1), "audio") > 0).all()
    # Two layers pass audio on through the other tokens, which are not restricted.
    assert (reach(debug_config(audio_attention="band"), "audio") > 0).all()


def test_adaln_has_no_time_token_but_knows_the_time():
    x_t, t = noisy(debug_config(), 1)
    for key, count in (("token", 1 + 33 + 20), ("adaln", 33 + 20)):
        config = debug_config(time_conditioning=key)
        params = debug_params(config)
        assert ("type_time" in params["params"]) == (key == "token")
        _, state = jax.eval_shape(
            partial(build_motion_model(config).apply, capture_intermediates=True),
            params,
            x_t,
            t,
            random_conditions(config, 1),
        )
        first = state["intermediates"]["blocks_0"]["norm_attention"]["__call__"][0]
        assert first.shape[1] == count
        apply = jax.jit(build_motion_model(config).apply)
        early = apply(params, x_t, jnp.array([5]), random_conditions(config, 1))
        late = apply(params, x_t, jnp.array([90]), random_conditions(config, 1))
        assert float(jnp.abs(early - late).max()) > 1e-3


def test_cudnn_in_float32_is_refused_in_one_line():
    config = debug_config(attention_backend="cudnn")
    with pytest.raises(UserError, match="bf16"):
        jax.eval_shape(partial(init_motion_model, config), jax.random.key(0))


@pytest.mark.parametrize(
    "text", ["audio_attention=diagonal", "time_conditioning=film", "attention_backend=flash"]
)
def test_unknown_words_are_refused(text):
    with pytest.raises(UserError, match=text.split("=")[1]):
        apply_overrides(get_config("debug"), [f"motion.{text}"])


@pytest.mark.parametrize("name", CONDITION_NAMES)
def test_an_absent_condition_is_ignored_and_a_present_one_is_not(name):
    config = debug_config()
    params = debug_params(config)
    x_t, t = noisy(config)
    fields = ("motion_context", "audio_context") if name == "context" else (name,)
    one, other = random_conditions(config, seed=0), random_conditions(config, seed=7)
    swapped = one._replace(**{f: getattr(other, f) for f in fields})
    apply = jax.jit(build_motion_model(config).apply)

    def change(flag):
        flags = {f"has_{name}": jnp.full(2, flag)}
        a, b = (apply(params, x_t, t, c._replace(**flags)) for c in (one, swapped))
        return float(jnp.abs(a - b).max())

    assert change(False) == 0
    assert change(True) > 1e-4


def test_audio_past_its_end_is_ignored():
    config = debug_config()
    params = debug_params(config)
    x_t, t = noisy(config)
    valid = jnp.broadcast_to(jnp.arange(20) < 13, (2, 20))
    one = random_conditions(config)._replace(audio_valid=valid)
    apply = jax.jit(build_motion_model(config).apply)
    base = apply(params, x_t, t, one)
    late = apply(params, x_t, t, one._replace(audio=one.audio.at[:, 13:].set(9.0)))
    early = apply(params, x_t, t, one._replace(audio=one.audio.at[:, 12].set(9.0)))
    np.testing.assert_array_equal(base, late)
    assert float(jnp.abs(base - early).max()) > 1e-4


@pytest.mark.parametrize("key", ["plain", "adaln", "band"])
def test_gradient_reaches_every_parameter(key):
    config = debug_config(**KEYS[key])
    params = debug_params(config)
    x_t, t = noisy(config, 4)

    @jax.jit
    def gradient(conditions):
        def loss(p):
            return jnp.sum(build_motion_model(config).apply(p, x_t, t, conditions) ** 2)

        return jax.grad(loss)(params)

    def dead(conditions):
        leaves = leaf_names(gradient(conditions)["params"])
        return {path for path, leaf in leaves.items() if not float(jnp.abs(leaf).max()) > 0}

    assert dead(mixed_conditions(config, 4)) == set()
    nulls = {path for path in leaf_names(params["params"]) if "null_" in path}
    assert len(nulls) == 6
    assert dead(random_conditions(config, 4)) == nulls
    embeds = {
        path
        for path in leaf_names(params["params"])
        if any(f"{n}_embed" in path for n in ("audio", "gaze", "distance", "emotion"))
    }
    assert dead(random_conditions(config, 4, present=False)) == embeds
