"""Published files into parameter trees: both formats, both spellings, every complaint."""

import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests import needs
from tests.audio.helpers import (
    GROUP,
    WHISPER,
    arrays_of,
    states,
    torch_wav2vec2,
    torch_whisper,
    voice,
)
from vasa_jax import zoo
from vasa_jax.audio import build_audio_encoder, encode_clip, load_audio_weights
from vasa_jax.audio.ctranslate2 import load_ctranslate2
from vasa_jax.audio.mel import MelEncoder
from vasa_jax.audio.wav2vec2 import Wav2Vec2Encoder
from vasa_jax.audio.weights import abstract_params
from vasa_jax.audio.whisper import WhisperEncoder, WhisperTransformer
from vasa_jax.config import AudioConfig
from vasa_jax.errors import UserError

WAV2VEC2, WHISPER_ENCODER = Wav2Vec2Encoder(GROUP), WhisperEncoder(WHISPER)


@pytest.fixture(scope="module")
def wav2vec2_arrays():
    return arrays_of(torch_wav2vec2(GROUP))


@pytest.fixture(scope="module")
def whisper_arrays():
    return arrays_of(torch_whisper(WHISPER))


def saved(folder, arrays, name="model.safetensors"):
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / name)
    return folder / name


def same(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def test_both_spellings_of_weight_norm_and_the_prefix(tmp_path, wav2vec2_arrays):
    new = load_audio_weights(WAV2VEC2, saved(tmp_path, wav2vec2_arrays))
    old_names = {
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
    }
    old = {}
    for key, value in wav2vec2_arrays.items():
        for new_name, old_name in old_names.items():
            key = key.replace(new_name, old_name)
        old[f"wav2vec2.{key}"] = value
    old |= {"lm_head.weight": np.zeros((32, 32), np.float32)}
    assert same(load_audio_weights(WAV2VEC2, saved(tmp_path, old, "old.safetensors")), new)
    assert jax.tree.map(lambda x: x.shape, new) == jax.tree.map(
        lambda x: x.shape, abstract_params(WAV2VEC2)
    )


def test_folded_kernel_equals_torch(tmp_path, wav2vec2_arrays):
    params = load_audio_weights(WAV2VEC2, saved(tmp_path, wav2vec2_arrays))
    weight = torch_wav2vec2(GROUP).encoder.pos_conv_embed.conv.weight.detach().numpy()
    ours = params["network"]["positions"]["kernel"]
    np.testing.assert_allclose(ours, weight.transpose(2, 1, 0), atol=1e-7)


def test_half_precision_files_widen(tmp_path, whisper_arrays):
    half = {k: v.astype(np.float16) for k, v in whisper_arrays.items()}
    params = load_audio_weights(WHISPER_ENCODER, saved(tmp_path, half))
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(params))


@pytest.mark.parametrize("prefix", ["", "encoder.", "model.encoder."])
def test_whisper_prefixes(tmp_path, whisper_arrays, prefix):
    plain = load_audio_weights(WHISPER_ENCODER, saved(tmp_path, whisper_arrays, "a.safetensors"))
    full = {prefix + k: v for k, v in whisper_arrays.items()}
    full |= {"model.decoder.x": np.zeros(3, np.float32), "proj_out.weight": np.zeros(3, np.float32)}
    assert same(load_audio_weights(WHISPER_ENCODER, saved(tmp_path, full)), plain)


def test_missing_unknown_and_misshapen_arrays_are_named(tmp_path, wav2vec2_arrays):
    path = "encoder.layers.1.attention.k_proj.bias"
    missing = {k: v for k, v in wav2vec2_arrays.items() if k != path}
    with pytest.raises(UserError, match=f"lacks 1 arrays.*{path}"):
        load_audio_weights(WAV2VEC2, saved(tmp_path, missing))
    extra = saved(tmp_path, wav2vec2_arrays | {"adapter.x": np.zeros(1, np.float32)})
    with pytest.raises(UserError, match=r"no place for, first 'adapter\.x'"):
        load_audio_weights(WAV2VEC2, extra)
    name = "feature_projection.projection.weight"
    wide = saved(tmp_path, wav2vec2_arrays | {name: np.zeros((32, 17), np.float32)})
    with pytest.raises(UserError, match=rf"{name}' has shape \(32, 17\).*needs \(32, 16\)"):
        load_audio_weights(WAV2VEC2, wide)
    g = "encoder.pos_conv_embed.conv.parametrizations.weight.original0"
    short = saved(tmp_path, wav2vec2_arrays | {g: np.ones((1, 1, 5), np.float32)})
    with pytest.raises(UserError, match="original0"):
        load_audio_weights(WAV2VEC2, short)


def test_config_beside_the_weights_must_agree(tmp_path, wav2vec2_arrays):
    path = saved(tmp_path, wav2vec2_arrays)
    config = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(GROUP).items()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    load_audio_weights(WAV2VEC2, path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_attention_heads": 8}))
    with pytest.raises(UserError, match="num_attention_heads is 8"):
        load_audio_weights(WAV2VEC2, path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(UserError, match=r"config\.json"):
        load_audio_weights(WAV2VEC2, path)


def test_mel_has_no_published_weights(tmp_path):
    with pytest.raises(UserError, match="trained together"):
        load_audio_weights(MelEncoder(8), tmp_path / "x")


def ctranslate2_file(arrays, dtype=np.float32):
    """The flat file that CTranslate2 would write for these Hugging Face arrays."""

    def name(text):
        raw = text.encode() + b"\0"
        return struct.pack("<H", len(raw)) + raw

    named = {}
    for key, value in arrays.items():
        named[key] = value
    out = {"decoder/embeddings/weight": np.zeros((3, 2), dtype)}
    linear, norm = {"weight": "weight", "bias": "bias"}, {"weight": "gamma", "bias": "beta"}

    def pair(theirs, source, kinds):
        for ours, kind in kinds.items():
            out[f"encoder/{theirs}/{kind}"] = named[f"{source}.{ours}"]

    out["encoder/position_encodings/encodings"] = named["embed_positions.weight"]
    out["encoder/num_heads"] = np.array(4, np.int16)
    pair("conv1", "conv1", linear)
    pair("conv2", "conv2", linear)
    pair("layer_norm", "layer_norm", norm)
    for i in range(WHISPER.encoder_layers):
        theirs, source = f"layer_{i}", f"layers.{i}"
        named[f"{source}.self_attn.k_proj.bias"] = np.zeros(WHISPER.d_model, np.float32)
        for kind in linear:
            parts = [named[f"{source}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
            out[f"encoder/{theirs}/self_attention/linear_0/{kind}"] = np.concatenate(parts)
        pair(f"{theirs}/self_attention/linear_1", f"{source}.self_attn.out_proj", linear)
        pair(f"{theirs}/self_attention/layer_norm", f"{source}.self_attn_layer_norm", norm)
        pair(f"{theirs}/ffn/linear_0", f"{source}.fc1", linear)
        pair(f"{theirs}/ffn/linear_1", f"{source}.fc2", linear)
        pair(f"{theirs}/ffn/layer_norm", f"{source}.final_layer_norm", norm)
    codes = {"f4": 0, "i1": 1, "i2": 2, "f2": 4}
    data = struct.pack("<I", 6) + name("WhisperSpec") + struct.pack("<II", 3, len(out))
    for key, value in out.items():
        value = value.astype(dtype) if value.dtype.kind == "f" else value
        data += (
            name(key) + struct.pack("<B", value.ndim) + struct.pack(f"<{value.ndim}I", *value.shape)
        )
        data += struct.pack("<BI", codes[value.dtype.str[1:]], value.nbytes) + value.tobytes()
    return data + struct.pack("<I", 0)


def test_ctranslate2_equals_safetensors(tmp_path, whisper_arrays):
    path = tmp_path / "model.bin"
    path.write_bytes(ctranslate2_file(whisper_arrays))
    ours = load_audio_weights(WHISPER_ENCODER, path)
    assert same(ours, load_audio_weights(WHISPER_ENCODER, saved(tmp_path, whisper_arrays)))


def test_foreign_ctranslate2_files_are_refused(tmp_path, whisper_arrays):
    data, path = ctranslate2_file(whisper_arrays), tmp_path / "model.bin"
    for bad in (
        b"",
        b"PK\3\4 a PyTorch file",
        data[:100],
        data[:-2000],
        data.replace(b"WhisperSpec\0", b"OtherThings\0"),
    ):
        path.write_bytes(bad)
        with pytest.raises(UserError, match="not a readable CTranslate2"):
            load_audio_weights(WHISPER_ENCODER, path)
    path.write_bytes(data.replace(b"encoder/conv1", b"encoder/convX"))
    with pytest.raises(UserError, match="lacks"):
        load_audio_weights(WHISPER_ENCODER, path)
    path.write_bytes(ctranslate2_file(whisper_arrays, np.int8))
    with pytest.raises(UserError, match="quantised"):
        load_audio_weights(WHISPER_ENCODER, path)
    with pytest.raises(UserError, match="no such weights file"):
        load_audio_weights(WHISPER_ENCODER, tmp_path / "none.bin")


@needs.weights("whisper-tiny.en")
def test_real_tiny_en_equals_torch():
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Torch

    config = AudioConfig("whisper", "tiny.en", 384)
    encoder = build_audio_encoder(config)
    path = zoo.cached_path("whisper-tiny.en")
    params, arrays = load_audio_weights(encoder, path), load_ctranslate2(path)
    frames, wave = 50, voice(31_999)
    arrays["embed_positions.weight"] = arrays["embed_positions.weight"][: 2 * frames]
    sizes = vars(encoder.shape) | {"max_source_positions": 2 * frames}
    model = Torch(WhisperConfig(**sizes, attn_implementation="eager")).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
    mel = WhisperFeatureExtractor()(wave, sampling_rate=16000).input_features[:, :, : 4 * frames]
    with torch.no_grad():
        layers, out = states(model.layers, lambda: model(torch.from_numpy(mel)))
    network = WhisperTransformer(encoder.shape)
    ours = jax.jit(lambda p, x: network.apply({"params": p}, x))(
        params["network"], jnp.asarray(mel.transpose(0, 2, 1))
    )
    for mine, theirs in zip(ours, [*layers, out.last_hidden_state.numpy()], strict=True):
        assert np.abs(mine - theirs).max() < 5e-4 * max(1.0, np.abs(theirs).max() / 15)
    assert encode_clip(encoder, {"params": params}, wave, config).shape == (frames, 384)
