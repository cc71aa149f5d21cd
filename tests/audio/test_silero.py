"""Silero's network against onnxruntime, and its segments of speech."""

import numpy as np
import pytest

from tests import needs
from tests.assets import SPEECH
from vasa_jax import zoo
from vasa_jax.audio import silero
from vasa_jax.errors import UserError
from vasa_jax.media.audio import open_audio

needs_weights = needs.weights("silero-vad")


@pytest.fixture(scope="module")
def waveform():
    """Speech, noise and silence; its length is no multiple of a step."""
    speech = np.asarray(open_audio(SPEECH).waveform)[:48_100]
    noise = 0.02 * np.random.default_rng(0).normal(size=9000)
    return np.concatenate([np.zeros(8000), speech, noise]).astype(np.float32)


@needs_weights
def test_probabilities_agree_with_onnxruntime(waveform, monkeypatch):
    runtime = needs.require_module("onnxruntime", "data")
    needs.require_module("onnx", "data")
    path = zoo.cached_path("silero-vad")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state, context, expected = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for start in range(0, len(waveform), 512):
        step = np.zeros(512, np.float32)
        step[: len(waveform[start : start + 512])] = waveform[start : start + 512]
        inputs = {"input": np.concatenate([context, step])[None], "state": state}
        spoken, state = session.run(None, inputs | {"sr": np.array(16000)})
        context = step[-64:]
        expected.append(spoken.item())
    params = silero.load(path)
    np.testing.assert_allclose(silero.probabilities(params, waveform), expected, atol=1e-5)
    assert max(expected) > 0.9
    assert min(expected) < 0.1
    monkeypatch.setattr(silero, "BLOCK", 50)  # the state goes on from block to block
    np.testing.assert_allclose(silero.probabilities(params, waveform), expected, atol=1e-5)


@needs_weights
def test_speech_is_found_between_silence_and_noise(waveform):
    needs.require_module("onnx", "data")
    found = silero.voice_activity()(waveform)
    assert 0.3 <= found[0][0] <= 1.2
    assert 3.0 <= found[-1][1] <= 3.8
    assert silero.voice_activity()(np.zeros(16000, np.float32)) == []
    assert silero.voice_activity()(np.zeros(0, np.float32)) == []


def steps(*runs):
    return np.concatenate([np.full(round(seconds * 16000 / 512), p) for p, seconds in runs])


def test_segments_keep_silero_s_rules():
    low, high, between = 0.1, 0.9, 0.4

    def of(*runs):
        spoken = steps(*runs)
        return silero.speech_segments(spoken, 512 * len(spoken))

    assert of((low, 2.0)) == []
    assert of((low, 1.0), (high, 0.2), (low, 1.0)) == []  # shorter than 0.25 s
    assert of((low, 1.0), (high, 1.0), (low, 1.0)) == [(1.0, 2.0)]
    assert len(of((high, 1.0), (low, 0.06), (high, 1.0), (low, 1.0))) == 1  # a pause below 0.1 s
    assert len(of((high, 1.0), (low, 0.3), (high, 1.0), (low, 1.0))) == 2
    assert len(of((high, 1.0), (between, 0.5), (high, 1.0))) == 1  # above the threshold of the end
    assert of((low, 1.0), (high, 1.0)) == [(1.0, 1.984)]  # to the sound's end


def test_another_file_is_refused(tmp_path):
    needs.require_module("onnx", "data")
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"x\.onnx: is not silero"):
        silero.load(tmp_path / "x.onnx")
