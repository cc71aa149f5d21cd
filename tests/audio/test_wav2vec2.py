"""Wav2Vec2 against transformers' torch model on random weights, layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests.audio.helpers import GROUP, LAYER, arrays_of, states, torch_wav2vec2, voice
from vasa_jax.audio.wav2vec2 import VARIANTS, Wav2Vec2, Wav2Vec2Encoder, Wav2Vec2Shape, normalise
from vasa_jax.audio.weights import abstract_params, wav2vec2_params
from vasa_jax.errors import UserError
from vasa_jax.params import flatten

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["group", "layer"])
def pair(request):
    shape = {"group": GROUP, "layer": LAYER}[request.param]
    model = torch_wav2vec2(shape)
    return shape, model, wav2vec2_params(Wav2Vec2Encoder(shape), arrays_of(model), "test")


def hidden(shape, params, samples, ends=None):
    run = jax.jit(lambda p, x, n: Wav2Vec2(shape).apply({"params": p}, x, n))
    return run(params["network"], jnp.asarray(samples), ends)


def oracle(model, samples, mask=None):
    mask = None if mask is None else torch.from_numpy(mask)
    with torch.no_grad():
        layers, out = states(
            model.encoder.layers, lambda: model(torch.from_numpy(samples), attention_mask=mask)
        )
    return layers, out.last_hidden_state.numpy()


@pytest.mark.parametrize("samples", [400, 16000, 17003])
def test_every_layer_equals_torch(pair, samples):
    shape, model, params = pair
    wave = np.stack([voice(samples, 0), voice(samples, 1)])
    layers, last = oracle(model, wave)
    ours = hidden(shape, params, wave)
    assert len(ours) == len(layers) + shape.do_stable_layer_norm
    for mine, theirs in zip(ours, layers, strict=False):
        assert np.abs(theirs).max() > 0.5
        assert np.abs(mine - theirs).max() < TOLERANCE
    assert np.abs(ours[-1] - last).max() < TOLERANCE


def test_attention_mask_equals_torch():
    """With norms per frame, as in the networks that were trained with masks."""
    model = torch_wav2vec2(LAYER)
    params = wav2vec2_params(Wav2Vec2Encoder(LAYER), arrays_of(model), "test")
    wave = np.stack([voice(12000, 0), voice(12000, 1)])
    wave[1, 7001:] = 0
    mask = np.arange(12000) < np.array([[12000], [7001]])
    _, last = oracle(model, wave, mask.astype(np.int64))
    ours = hidden(LAYER, params, wave, jnp.array([12000, 7001]))[-1]
    frames = (7001 - 400) // 320 + 1
    assert np.abs(ours[0] - last[0]).max() < TOLERANCE
    assert np.abs(ours[1, :frames] - last[1, :frames]).max() < TOLERANCE


def test_masked_row_equals_torch_on_the_row_alone(pair):
    """Stricter than torch's own mask, which lets padding into the first norm of `group`."""
    shape, model, params = pair
    wave = np.stack([voice(12000, 0), voice(12000, 1)])
    wave[1, 7001:] = 0
    ours = hidden(shape, params, wave, jnp.array([12000, 7001]))[-1]
    _, last = oracle(model, wave[1:, :7001])
    assert np.abs(ours[1, : last.shape[1]] - last[0]).max() < TOLERANCE


@pytest.mark.parametrize("samples", [16000, 16001])
def test_features_equal_torch_resampled_by_torch(pair, samples):
    """Normalised by its feature extractor, then 50 -> 25 Hz by torch's linear interpolation."""
    from transformers import Wav2Vec2FeatureExtractor

    shape, model, params = pair
    wave = voice(samples) + 0.1
    normal = Wav2Vec2FeatureExtractor()(wave, sampling_rate=16000).input_values[0]
    frames = -(-samples // 640)
    values = np.zeros((1, frames * 640 + 80), np.float32)
    values[0, 40 : 40 + samples] = normal
    _, last = oracle(model, values)
    assert last.shape[1] == 2 * frames
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(last).transpose(1, 2), scale_factor=0.5, mode="linear", align_corners=False
    ).transpose(1, 2)
    encoder = Wav2Vec2Encoder(shape)
    ours = jax.jit(lambda x: encoder.apply({"params": params}, x))(wave[None])
    assert np.abs(ours - expected.numpy()).max() < TOLERANCE


def test_normalise_equals_the_extractor_with_padding():
    from transformers import Wav2Vec2FeatureExtractor

    clips = [voice(5000) + 0.3, voice(3001, 1) * 0.01]
    expected = Wav2Vec2FeatureExtractor(return_attention_mask=True)(
        clips, sampling_rate=16000, padding=True, return_tensors="np"
    ).input_values
    rows = np.stack([clips[0], np.pad(clips[1], (0, 1999), constant_values=9.0)])
    ours = normalise(jnp.asarray(rows), jnp.array([5000, 3001]))
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@pytest.mark.parametrize("variant", ["base", "large"])
def test_full_size_has_the_published_arrays(variant):
    """Names, shapes and count of transformers' own model of that size, without its memory."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from vasa_jax.audio.weights import _wav2vec2_table

    shape = VARIANTS[variant]
    with torch.device("meta"):
        model = Wav2Vec2Model(Wav2Vec2Config(**vars(shape)))
    theirs = {k: tuple(v.shape) for k, v in model.state_dict().items() if k != "masked_spec_embed"}
    ours = flatten(abstract_params(Wav2Vec2Encoder(shape)))
    weight_norm = "encoder.pos_conv_embed.conv.parametrizations.weight.original"
    theirs.pop(weight_norm + "0")
    theirs["encoder.pos_conv_embed.conv.weight"] = theirs.pop(weight_norm + "1")
    table = _wav2vec2_table(shape)
    assert set(table) == set(theirs)
    assert {name for name, _ in table.values()} == set(ours)
    for source, (name, axes) in table.items():
        assert ours[name].shape == tuple(theirs[source][a] for a in axes), source
    count = sum(int(np.prod(v.shape)) for v in ours.values())
    assert count == {"base": 94_370_816, "large": 315_437_568}[variant]
    features = jax.eval_shape(
        Wav2Vec2Encoder(shape).init_with_output, jax.random.key(0), jnp.zeros((2, 16001))
    )[0]
    assert features.shape == (2, 26, shape.hidden_size)


def test_shape_from_json():
    from transformers import Wav2Vec2Config

    data = Wav2Vec2Config(**vars(VARIANTS["large"])).to_dict()
    assert Wav2Vec2Shape.from_json(data) == VARIANTS["large"]
    with pytest.raises(UserError, match="add_adapter"):
        Wav2Vec2Shape.from_json(data | {"add_adapter": True})


def test_silence_is_finite(pair):
    shape, _, params = pair
    run = jax.jit(lambda x: Wav2Vec2Encoder(shape).apply({"params": params}, x))
    assert np.isfinite(run(np.zeros((1, 6400), np.float32))).all()
