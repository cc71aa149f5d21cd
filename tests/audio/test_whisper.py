"""Whisper's encoder against transformers' torch encoder on random weights, layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests.audio.helpers import WHISPER, arrays_of, states, torch_whisper, voice
from vasa_jax.audio.weights import abstract_params, whisper_params
from vasa_jax.audio.whisper import VARIANTS, WhisperEncoder, WhisperShape, WhisperTransformer
from vasa_jax.errors import UserError
from vasa_jax.params import flatten

TOLERANCE = 1e-4


def whole_table(arrays, positions):
    """The short position table of the torch network, filled up to ours with rubbish."""
    table = np.full((WHISPER.max_source_positions, WHISPER.d_model), 7.0, np.float32)
    table[:positions] = arrays["embed_positions.weight"]
    return arrays | {"embed_positions.weight": table}


def oracle(model, mel):
    with torch.no_grad():
        layers, out = states(
            model.layers, lambda: model(torch.from_numpy(mel.transpose(0, 2, 1).copy()))
        )
    return layers, out.last_hidden_state.numpy()


def run(params, mel, ends=None):
    network = WhisperTransformer(WHISPER)
    return jax.jit(lambda p, x, n: network.apply({"params": p}, x, n))(
        params["network"], jnp.asarray(mel), ends
    )


@pytest.mark.parametrize("positions", [2, 50, 87])
def test_every_layer_equals_torch(positions):
    model = torch_whisper(WHISPER, positions)
    arrays = whole_table(arrays_of(model), positions)
    params = whisper_params(WhisperEncoder(WHISPER), arrays, "test")
    mel = np.random.default_rng(0).normal(size=(2, 2 * positions, 80)).astype(np.float32)
    layers, last = oracle(model, mel)
    ours = run(params, mel)
    assert len(ours) == len(layers) + 1
    for mine, theirs in zip(ours, [*layers, last], strict=True):
        assert np.abs(theirs).max() > 0.5
        assert np.abs(mine - theirs).max() < TOLERANCE
    # A padded row gives what it gives alone.
    padded = np.concatenate([mel, np.full((2, 40, 80), 3.0, np.float32)], 1)
    masked = run(params, padded, jnp.full((2,), 2 * positions))[-1]
    assert np.abs(masked[:, :positions] - last).max() < TOLERANCE


def test_features_equal_extractor_torch_and_triangle():
    """Waveform to 25 Hz: the oracle's parts put together by the formula of the docstring."""
    from transformers import WhisperFeatureExtractor

    samples, frames = 20000, 32
    model = torch_whisper(WHISPER, 2 * frames)
    arrays = whole_table(arrays_of(model), 2 * frames)
    params = whisper_params(WhisperEncoder(WHISPER), arrays, "test")
    wave = voice(samples)
    mel = WhisperFeatureExtractor()(wave, sampling_rate=16000).input_features[0].T[: 4 * frames]
    _, last = oracle(model, mel[None])
    expected = np.stack(
        [
            np.average(last[0, 2 * i : 2 * i + 3], axis=0, weights=[1, 2, 1][: 2 * frames - 2 * i])
            for i in range(frames)
        ]
    )
    encoder = WhisperEncoder(WHISPER)
    ours = jax.jit(lambda x: encoder.apply({"params": params}, x))(wave[None])[0]
    assert np.abs(ours - expected).max() < TOLERANCE


@pytest.mark.parametrize("variant", ["tiny.en", "base", "small"])
def test_full_size_has_the_published_arrays(variant):
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Torch

    from vasa_jax.audio.weights import _whisper_table

    shape = VARIANTS[variant]
    with torch.device("meta"):
        theirs = Torch(WhisperConfig(**vars(shape))).state_dict()
    table = _whisper_table(shape)
    ours = flatten(abstract_params(WhisperEncoder(shape)))
    assert set(table) == set(theirs)
    assert {name for name, _ in table.values()} == set(ours)
    for source, (name, axes) in table.items():
        assert ours[name].shape == tuple(theirs[source].shape[a] for a in axes), source


def test_initial_positions_are_those_of_transformers():
    from transformers.models.whisper.modeling_whisper import sinusoids

    from vasa_jax.audio import whisper

    np.testing.assert_allclose(whisper.sinusoids(1500, 384), sinusoids(1500, 384), atol=2e-4)


def test_too_long_a_row_says_what_to_do():
    encoder = WhisperEncoder(WHISPER)
    with pytest.raises(UserError, match="at most 30 s"):
        jax.eval_shape(encoder.init, jax.random.key(0), jnp.zeros((1, 31 * 16000)))


def test_shape_from_json():
    from transformers import WhisperConfig

    data = WhisperConfig(**vars(VARIANTS["small"])).to_dict()
    assert WhisperShape.from_json(data) == VARIANTS["small"]
    with pytest.raises(UserError, match="scaled embeddings"):
        WhisperShape.from_json(data | {"scale_embedding": True})


def test_silence_is_finite():
    encoder = WhisperEncoder(WHISPER)
    out, _ = jax.jit(encoder.init_with_output)(jax.random.key(0), np.zeros((1, 6400), np.float32))
    assert np.isfinite(out).all()
