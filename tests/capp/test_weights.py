"""CAPP's folder of weights: the same scores after it, and what is refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.capp.helpers import make_clip
from vasa_jax import zoo
from vasa_jax.audio.weights import load_audio_weights
from vasa_jax.capp.network import build_capp
from vasa_jax.capp.score import CappScorer, load
from vasa_jax.capp.weights import CappWeights, load_capp, pretrained_encoder, save_capp
from vasa_jax.config.capp import get_capp_config
from vasa_jax.errors import UserError
from vasa_jax.params import flatten, load_safetensors


def _weights(*overrides):
    config = get_capp_config("capp_debug", overrides)
    network = build_capp(config)
    params = network.init(jax.random.key(1), jnp.zeros((1, 75, 3)), jnp.zeros((1, 48_000)))
    return CappWeights(config, jax.tree.map(np.asarray, params["params"]), 7)


def test_a_folder_gives_the_same_scores(tmp_path):
    weights = _weights()
    save_capp(tmp_path / "capp", weights)
    save_capp(tmp_path / "capp", weights)  # in place of itself
    found = load(tmp_path / "capp")
    assert found.config == weights.config
    assert found.step == 7
    rotation, wave = make_clip(100)
    assert found(rotation, wave) == CappScorer(weights)(rotation, wave)
    save_capp(tmp_path / "half", weights, jnp.bfloat16)
    np.testing.assert_allclose(
        load(tmp_path / "half")(rotation, wave), found(rotation, wave), atol=0.02
    )


def test_foreign_and_damaged_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no config"):
        load_capp(tmp_path)
    save_capp(tmp_path / "a", _weights())
    header = json.loads((tmp_path / "a" / "config.json").read_text())
    network = header["config"]["capp"]
    for change, says in (
        ({"kind": "sync"}, "no CAPP"),
        ({"format": 9}, "no CAPP"),
        ({"config": header["config"] | {"more": 1}}, "unknown key 'more'"),
        ({"config": header["config"] | {"capp": network | {"width": 32}}}, "shape"),
        ({"step": "many"}, "unreadable"),
    ):
        (tmp_path / "a" / "config.json").write_text(json.dumps(header | change))
        with pytest.raises(UserError, match=says):
            load_capp(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text("[1]")
    with pytest.raises(UserError, match="unreadable"):
        load_capp(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x")
    with pytest.raises(UserError):
        save_capp(tmp_path / "b", _weights())
    assert (tmp_path / "b" / "mine.txt").exists()


@pytest.mark.skipif(not zoo.is_cached("whisper-tiny.en"), reason="no Whisper in the cache")
def test_a_frozen_speech_network_is_not_stored_and_comes_back(tmp_path):
    """The pretrained network begins the training, and is read again from its own file."""
    settings = ["audio.encoder=whisper", "audio.variant=tiny.en", "audio.dim=384"]
    weights = _weights(*settings, "train_capp.freeze_audio=true")
    params, digest = pretrained_encoder(weights.config)
    encoder = build_capp(weights.config).encoder
    want = load_audio_weights(encoder, zoo.cached_path("whisper-tiny.en"))
    for name, value in flatten(params).items():
        np.testing.assert_array_equal(value, flatten(want)[name])
    whole = weights._replace(params=weights.params | {"encoder": params}, encoder=digest)
    save_capp(tmp_path / "a", whole)
    stored = load_safetensors(tmp_path / "a" / "model.safetensors")
    assert not any(name.startswith("encoder/") for name in stored)
    for name, value in flatten(load_capp(tmp_path / "a").params).items():
        np.testing.assert_array_equal(value, flatten(whole.params)[name])
    header = json.loads((tmp_path / "a" / "config.json").read_text()) | {"encoder": "0" * 64}
    (tmp_path / "a" / "config.json").write_text(json.dumps(header))
    with pytest.raises(UserError, match="another file of whisper"):
        load_capp(tmp_path / "a")


def test_a_speech_network_that_is_not_here_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "is_cached", lambda name: False)
    with pytest.raises(UserError, match="wav2vec2-base is not here"):
        pretrained_encoder(get_capp_config("capp"))
    with pytest.raises(UserError, match="mel has no pretrained"):
        pretrained_encoder(get_capp_config("capp_debug"), tmp_path / "x")
    assert pretrained_encoder(get_capp_config("capp_debug")) is None
