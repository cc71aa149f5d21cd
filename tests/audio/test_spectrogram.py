"""Mel filters and spectra against transformers' numpy and the Whisper feature extractor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.audio.mel import FLOOR, log_mel
from vasa_jax.audio.spectrogram import mel_filters, mel_power
from vasa_jax.audio.whisper import WhisperEncoder, WhisperShape


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=6400).astype(np.float32) * 0.1


@pytest.mark.parametrize("bins", [40, 80, 128])
def test_filters_equal_transformers(bins):
    from transformers.audio_utils import mel_filter_bank

    oracle = mel_filter_bank(201, bins, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(bins), oracle, atol=1e-8)


def test_power_equals_transformers(noise):
    from transformers.audio_utils import spectrogram, window_function

    oracle = spectrogram(
        noise,
        window_function(400, "hann"),
        400,
        160,
        power=2.0,
        center=False,
        mel_filters=mel_filters(80),
        mel_floor=0.0,
    )
    ours = mel_power(jnp.asarray(noise[None]), oracle.shape[1], 80)[0]
    np.testing.assert_allclose(ours, oracle.T, rtol=2e-4, atol=1e-7)


def test_log_mel_is_centred_on_its_hops(noise):
    from transformers.audio_utils import spectrogram, window_function

    padded = np.pad(noise, 120)
    oracle = spectrogram(
        padded,
        window_function(400, "hann"),
        400,
        160,
        power=2.0,
        center=False,
        mel_filters=mel_filters(80),
        mel_floor=0.0,
    )
    ours = log_mel(jnp.asarray(noise[None]), 80)[0]
    assert ours.shape == (40, 80)
    np.testing.assert_allclose(ours, (np.log10(oracle.T + FLOOR) + 3) / 2, atol=1e-4)
    # A click in the middle of hop 20 is as loud in hop 19 as in hop 21, and loudest in hop 20.
    click = np.zeros((1, 6400), np.float32)
    click[0, 160 * 20 + 80] = 1.0
    level = np.asarray(log_mel(jnp.asarray(click), 80)).sum(-1)[0]
    assert level.argmax() == 20
    assert abs(level[19] - level[21]) < 0.02 * abs(level[20] - level[19])


@pytest.mark.parametrize("samples", [16000, 16001, 41234])
def test_whisper_features_equal_its_extractor_cropped(samples):
    from transformers import WhisperFeatureExtractor

    random = np.random.default_rng(samples)
    clip = random.normal(size=samples).astype(np.float32) * np.linspace(0, 0.5, samples, dtype="f")
    clip[-1] = 1.0  # the window past the end, centred on silence, still sees it
    oracle = WhisperFeatureExtractor()(clip, sampling_rate=16000).input_features[0].T
    encoder = WhisperEncoder(WhisperShape(encoder_layers=0))
    ours = jax.jit(lambda x: encoder.apply({"params": {}}, x, method="spectrogram"))(clip[None])[0]
    assert ours.shape[0] == 4 * -(-samples // 640)
    np.testing.assert_allclose(ours, oracle[: ours.shape[0]], atol=2e-5)
