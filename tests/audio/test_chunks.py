"""Clips of any length through one compiled shape, against a single pass over the whole clip."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.audio.helpers import (
    GROUP,
    LAYER,
    WHISPER,
    arrays_of,
    torch_wav2vec2,
    torch_whisper,
    voice,
)
from vasa_jax.audio import mel
from vasa_jax.audio.chunks import encode_chunks, encode_clip, plan
from vasa_jax.audio.mel import MelEncoder
from vasa_jax.audio.protocol import AudioEncoder
from vasa_jax.audio.wav2vec2 import Wav2Vec2Encoder
from vasa_jax.audio.weights import wav2vec2_params, whisper_params
from vasa_jax.audio.whisper import WhisperEncoder
from vasa_jax.config import AudioConfig
from vasa_jax.errors import UserError

MEL = MelEncoder(dim=16, bins=40, width=24, blocks=2)
CONFIG = AudioConfig("mel", "", 16, chunk_seconds=2.0, overlap_seconds=0.2)


def variables_of(encoder):
    """Random parameters; biases and norms away from their starting values."""
    tree = jax.jit(encoder.init)(jax.random.key(0), jnp.zeros((1, 6400)))["params"]
    leaves, structure = jax.tree.flatten(tree)
    random = np.random.default_rng(0)
    leaves = [x + 0.1 * random.normal(size=x.shape).astype(np.float32) for x in leaves]
    return {"params": jax.tree.unflatten(structure, leaves)}


def single(encoder, variables, waveform):
    return np.asarray(jax.jit(encoder.apply)(variables, waveform[None])[0])


@pytest.mark.parametrize("samples", [1, 640, 31_999, 32_000, 32_001, 58_881, 100_000, 331_777])
def test_plan_tiles_the_clip(samples):
    pieces = plan(samples, CONFIG)
    size, overlap, total = 50, 5, -(-samples // 640)
    assert [p.first for p in pieces] == [0] + [p.last for p in pieces[:-1]]
    assert pieces[-1].last == total
    assert pieces[-1].stop == samples
    for p in pieces:
        assert p.start % 640 == 0
        assert p.stop - p.start <= size * 640
        assert p.first < p.last
        assert p.start == 0 or p.first - p.start // 640 >= overlap
        assert p.stop == samples or p.start // 640 + size - p.last >= overlap


@pytest.mark.parametrize("samples", [1, 32_001, 100_345])
def test_mel_in_chunks_equals_a_single_pass(samples):
    variables, wave = variables_of(MEL), voice(samples)
    ours = encode_clip(MEL, variables, wave, CONFIG)
    assert ours.shape == (-(-samples // 640), 16)
    assert ours.dtype == np.float32
    assert np.abs(ours - single(MEL, variables, wave)).max() < 1e-5


def test_mel_needs_the_overlap():
    """The comparison above can fail: without context the seams show."""
    config = dataclasses.replace(CONFIG, overlap_seconds=0.0)
    variables, wave = variables_of(MEL), voice(100_345)
    ours = encode_clip(MEL, variables, wave, config)
    assert np.abs(ours - single(MEL, variables, wave)).max() > 1e-3


@pytest.mark.parametrize(
    "encoder",
    [Wav2Vec2Encoder(GROUP), Wav2Vec2Encoder(LAYER), WhisperEncoder(WHISPER)],
    ids=["group", "layer", "whisper"],
)
@pytest.mark.parametrize("samples", [399, 9001])
def test_short_clips_are_not_changed_by_padding(encoder, samples):
    config = AudioConfig("mel", "", 32, chunk_seconds=3.0, overlap_seconds=0.4)
    variables, wave = variables_of(encoder), voice(samples)
    ours = encode_clip(encoder, variables, wave, config)
    assert np.abs(ours - single(encoder, variables, wave)).max() < 2e-5


@pytest.mark.parametrize("name", ["group", "layer", "whisper"])
def test_statistics_are_those_of_the_whole_clip(name):
    """Without attention and positions the networks see finitely far, so chunks must be exact.

    The level rises along the clip: statistics of a chunk would be far from those of the clip.
    """
    if name == "whisper":
        encoder = WhisperEncoder(dataclasses.replace(WHISPER, encoder_layers=0))
        variables = variables_of(encoder)
        variables["params"]["network"]["positions"] *= 0.0
    else:
        shape = {"group": GROUP, "layer": LAYER}[name]
        encoder = Wav2Vec2Encoder(dataclasses.replace(shape, num_hidden_layers=0))
        variables = variables_of(encoder)
    config = AudioConfig("mel", "", 32, chunk_seconds=2.0, overlap_seconds=0.4)
    wave = voice(100_345) * np.geomspace(1e-4, 1.0, 100_345).astype(np.float32)
    expected = single(encoder, variables, wave)
    ours = encode_clip(encoder, variables, wave, config)
    assert np.abs(ours - expected).max() < 1e-4
    pieces = [single(encoder, variables, wave[i : i + 32_000]) for i in range(0, 100_345, 32_000)]
    assert np.abs(np.concatenate(pieces) - expected).max() > 0.05


@pytest.mark.parametrize(("name", "tolerance"), [("wav2vec2", 0.06), ("whisper", 0.2)])
def test_attention_changes_long_clips_little(name, tolerance):
    """Measured on these random weights: 2.5% for Wav2Vec2, 12% for Whisper, whose positions start
    anew in every chunk (relative, root mean square)."""
    if name == "wav2vec2":
        encoder = Wav2Vec2Encoder(GROUP)
        params = wav2vec2_params(encoder, arrays_of(torch_wav2vec2(GROUP)), "test")
    else:
        encoder = WhisperEncoder(WHISPER)
        params = whisper_params(encoder, arrays_of(torch_whisper(WHISPER)), "test")
    config = AudioConfig("mel", "", 32, chunk_seconds=6.0, overlap_seconds=1.0)
    variables, wave = {"params": params}, voice(16_000 * 10 + 345, 3)
    expected = single(encoder, variables, wave)
    error = encode_clip(encoder, variables, wave, config) - expected
    assert np.sqrt((error**2).mean() / (expected**2).mean()) < tolerance


def test_another_length_compiles_nothing(monkeypatch):
    traced = []
    original = mel.log_mel
    monkeypatch.setattr(mel, "log_mel", lambda *a: traced.append(1) or original(*a))
    encoder = MelEncoder(dim=8, bins=40, width=16, blocks=1)
    variables = variables_of(encoder)
    traced.clear()
    for samples in (5, 30_000, 100_000):
        encode_clip(encoder, variables, voice(samples), CONFIG)
    assert len(traced) == 1


def test_pieces_come_one_by_one():
    pieces = encode_chunks(MEL, variables_of(MEL), voice(200_000), CONFIG)
    assert next(pieces).shape == (45, 16)
    assert next(pieces).shape == (40, 16)


@pytest.mark.parametrize(
    ("wave", "message"),
    [(np.zeros(0, np.float32), "no samples"), (np.full(9, np.nan, np.float32), "not finite")],
)
def test_bad_clips_are_refused(wave, message):
    with pytest.raises(UserError, match=message):
        encode_clip(MEL, {}, wave, CONFIG)


def test_encoders_keep_the_protocol():
    for encoder in (MEL, Wav2Vec2Encoder(GROUP), WhisperEncoder(WHISPER)):
        assert isinstance(encoder, AudioEncoder)
