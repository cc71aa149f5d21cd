"""CAPP's network: shapes, unit length, what is begun from random weights, timing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.capp.helpers import make_clip
from vasa_jax.capp.network import build_capp
from vasa_jax.capp.weights import abstract_capp
from vasa_jax.config.capp import CappConfig, get_capp_config
from vasa_jax.errors import UserError
from vasa_jax.params import flatten


def _windows(rows=3):
    clips = [make_clip(75, seed) for seed in range(rows)]
    return jnp.asarray([c[0] for c in clips]), jnp.asarray([c[1] for c in clips])


@pytest.mark.parametrize(
    ("overrides", "width"),
    [([], 75 * 4), (["capp.pooling=mean"], 4), (["capp.patch=3"], 25 * 4)],
)
def test_embeddings_have_length_one_and_rows_do_not_meet(overrides, width):
    network = build_capp(get_capp_config("capp_debug", overrides))
    rotation, wave = _windows()
    variables = network.init(jax.random.key(0), rotation, wave)
    pose, audio, log_scale = network.apply(variables, rotation, wave)
    assert pose.shape == audio.shape == (3, width)
    for found in (pose, audio):
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    alone = network.apply(variables, rotation[1:2], wave[1:2])
    np.testing.assert_allclose(alone[0], pose[1:2], atol=1e-5)
    np.testing.assert_allclose(alone[1], audio[1:2], atol=1e-5)
    np.testing.assert_allclose(np.exp(-log_scale), 0.07, rtol=1e-6)


def test_the_papers_encoders():
    """Six layers from random weights, and Wav2Vec2's 94,371,712 parameters."""
    config = get_capp_config("capp")
    params = abstract_capp(config)
    assert sum(name.startswith("layer_") for name in params["pose"]) == 6
    encoder = jax.tree.leaves(params["encoder"])
    # Without the vector that stands for masked stretches, and the magnitudes of a folded kernel.
    assert sum(x.size for x in encoder) == 94_371_712 - 768 - 128
    assert config.capp.window == 75


def test_silence_and_a_still_head_have_finite_embeddings_and_gradients():
    network = build_capp(get_capp_config("capp_debug"))
    rotation, wave = jnp.zeros((2, 75, 3)), jnp.zeros((2, 48_000))
    variables = network.init(jax.random.key(0), rotation, wave)

    def loss(variables):
        pose, audio, _ = network.apply(variables, rotation, wave)
        return (pose * audio).sum()

    assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.grad(loss)(variables)))


def test_the_shipped_config_is_small():
    flat = flatten(abstract_capp(get_capp_config("capp_synthetic")))
    assert sum(x.size for x in flat.values()) * 2 < 4e6


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["capp.window=76", "capp.patch=3"], "multiple of capp.patch"),
        (["capp.window=1"], "at least 2 frames"),
        (["capp.heads=3"], "multiple of capp.heads"),
        (["capp.pooling=max"], "mean, tokens"),
        (["train_capp.accumulate=2"], "whole batch's negatives"),
        (["train_capp.freeze_audio=true"], "pretrained"),
        (["capp.layer=3"], "did you mean"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, says):
    with pytest.raises(UserError, match=says):
        get_capp_config("capp_debug", overrides)


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="did you mean 'capp_synthetic'"):
        get_capp_config("capp_syntetic")
    assert isinstance(get_capp_config("capp"), CappConfig)
