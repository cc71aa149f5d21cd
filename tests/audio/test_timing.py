"""A click at time t shows in video frame floor(25 t), give or take one, without a bias."""

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
)
from vasa_jax.audio.mel import MelEncoder
from vasa_jax.audio.wav2vec2 import Wav2Vec2Encoder
from vasa_jax.audio.weights import wav2vec2_params, whisper_params
from vasa_jax.audio.whisper import WhisperEncoder

SAMPLES = 32_000


def mel():
    encoder = MelEncoder(dim=16, bins=40, width=24, blocks=1)
    return encoder, encoder.init(jax.random.key(0), jnp.zeros((1, 640)))["params"]


def wav2vec2(shape):
    encoder = Wav2Vec2Encoder(shape)
    return encoder, wav2vec2_params(encoder, arrays_of(torch_wav2vec2(shape)), "test")


def whisper():
    encoder = WhisperEncoder(WHISPER)
    return encoder, whisper_params(encoder, arrays_of(torch_whisper(WHISPER)), "test")


@pytest.mark.parametrize(
    "make",
    [mel, lambda: wav2vec2(GROUP), lambda: wav2vec2(LAYER), whisper],
    ids=["mel", "group", "layer", "whisper"],
)
def test_click_shows_in_its_frame(make):
    encoder, params = make()
    encode = jax.jit(lambda x: encoder.apply({"params": params}, x))
    times = np.arange(3000, SAMPLES - 3000, 777)
    noise = np.random.default_rng(0).normal(size=SAMPLES).astype(np.float32) * 0.01
    clicks = np.tile(noise, (len(times), 1))
    clicks[np.arange(len(times)), times] += 0.3
    change = np.abs(encode(clicks) - encode(noise[None])).sum(-1)
    offset = change.argmax(-1) - times // 640
    assert np.abs(offset).max() <= 1
    assert (offset == 0).mean() > 0.7
    # Centre of what changed near the click, against the click, in frames.
    near = times[:, None] // 640 + np.arange(-2, 3)
    weight = np.take_along_axis(change, near, 1) ** 2
    centre = (weight * (near + 0.5)).sum(1) / weight.sum(1)
    assert abs((centre - times / 640).mean()) < 0.25
