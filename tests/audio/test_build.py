import jax
import jax.numpy as jnp
import pytest

from vasa_jax.audio import build_audio_encoder
from vasa_jax.audio.mel import MelEncoder
from vasa_jax.audio.wav2vec2 import Wav2Vec2Encoder
from vasa_jax.audio.weights import abstract_params
from vasa_jax.config import AudioConfig, get_config
from vasa_jax.errors import UserError


@pytest.mark.parametrize("name", ["vasa1", "base256", "demo", "debug"])
def test_every_config_builds_its_encoder(name):
    config = get_config(name)
    encoder = build_audio_encoder(config.audio, config.dtype)
    wave = config.fake_waveform(batch=2, seconds=2.01)
    features = jax.eval_shape(encoder.init_with_output, jax.random.key(0), wave)[0]
    assert features.shape == (2, 51, config.audio.dim)
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(abstract_params(encoder)))


def test_vasa1_uses_wav2vec2_base():
    assert isinstance(build_audio_encoder(get_config("vasa1").audio), Wav2Vec2Encoder)


def test_demo_mel_size():
    encoder = build_audio_encoder(get_config("demo").audio)
    assert isinstance(encoder, MelEncoder)
    assert sum(x.size for x in jax.tree.leaves(abstract_params(encoder))) == 988_416
    assert encoder.receptive_seconds == pytest.approx(0.2475)
    assert encoder.receptive_frames / 25 + 0.04 <= AudioConfig().overlap_seconds


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (AudioConfig(variant="bse"), "did you mean 'base'"),
        (AudioConfig("whisper", "tiny.en", 768), "set audio.dim=384"),
    ],
)
def test_mistakes_are_named(config, message):
    with pytest.raises(UserError, match=message):
        build_audio_encoder(config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chunk_seconds": 4.0}, "more than twice"),
        ({"encoder": "whisper", "chunk_seconds": 40.0}, "at most 30"),
    ],
)
def test_impossible_chunks_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        AudioConfig(**values)
