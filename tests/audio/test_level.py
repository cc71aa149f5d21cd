"""Loudness against FFmpeg's EBU R 128 meter, and what every listener makes of quiet speech."""

import av
import numpy as np
import pytest

from tests.assets import SPEECH, hum
from tests.audio.helpers import GROUP
from vasa_jax.audio.chunks import encode_clip
from vasa_jax.audio.level import TYPICAL, LevelMeter, at_speech_level, speech_gain
from vasa_jax.audio.wav2vec2 import Wav2Vec2Encoder
from vasa_jax.media.audio import open_audio
from vasa_jax.training.motion_clips import read_clip
from vasa_jax.typing import SAMPLE_RATE


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return open_audio(SPEECH).waveform


def loudness(samples) -> float | None:
    meter = LevelMeter()
    meter.add(samples)
    return meter.loudness


def ffmpeg_loudness(samples) -> float:
    """Integrated loudness by the filter ebur128, an implementation that nobody here wrote."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono")
    meter = graph.add("ebur128", "metadata=1")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "flt", "mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    source.push(frame)
    source.push(None)
    found = None
    while True:
        try:
            found = sink.pull().metadata.get("lavfi.r128.I", found)
        except (av.error.EOFError, av.error.BlockingIOError):
            return float(found)


def bursts(rng, seconds=20) -> np.ndarray:
    """Noise of random loudness over 60 dB, in pieces of half a second, with rumble below."""
    levels = 10 ** (rng.uniform(-70, -10, 2 * seconds) / 20)
    noise = rng.standard_normal(seconds * SAMPLE_RATE) * levels.repeat(SAMPLE_RATE // 2)
    rumble = 0.05 * np.sin(2 * np.pi * 20 * np.arange(len(noise)) / SAMPLE_RATE)
    return np.clip(noise + rumble, -1, 1).astype(np.float32)


@pytest.mark.parametrize("gain", [0, -15, -30, -38])
def test_loudness_equals_ffmpegs(speech, gain):
    """Of speech, also with long pauses in it, and of a tone."""
    pauses = np.concatenate([speech, np.zeros(5 * SAMPLE_RATE, np.float32), speech[:40_000]])
    for samples in (speech, pauses, hum(3.0), bursts(np.random.default_rng(1))):
        samples = (samples * 10 ** (gain / 20)).astype(np.float32)
        assert loudness(samples) == pytest.approx(ffmpeg_loudness(samples), abs=0.15)


def test_loudness_does_not_depend_on_the_pieces(speech):
    whole, rng, meter = loudness(speech), np.random.default_rng(0), LevelMeter()
    start = 0
    while start < len(speech):
        size = int(rng.integers(1, 9_000))
        meter.add(speech[start : start + size])
        start += size
    assert meter.loudness == pytest.approx(whole, abs=1e-6)


def test_speech_at_the_training_s_level_is_left_alone(speech):
    assert at_speech_level(speech) is speech
    quiet, loud = (speech * np.float32(10 ** (g / 20)) for g in (-6, 8))
    assert at_speech_level(quiet) is quiet
    assert at_speech_level(loud) is loud


@pytest.mark.parametrize("gain", [-10, -20, -30, -40, 14])
def test_other_levels_are_brought_to_the_typical_one(speech, gain):
    changed = speech * np.float32(10 ** (gain / 20))
    found = at_speech_level(changed)
    assert loudness(found) == pytest.approx(TYPICAL, abs=0.3)
    assert at_speech_level(found) is found
    assert np.corrcoef(found, speech)[0, 1] > 0.9999


def test_silence_stays_silent():
    assert speech_gain(None) == 1.0
    for samples in (np.zeros(SAMPLE_RATE, np.float32), np.zeros(1, np.float32), np.zeros(0, "f4")):
        assert at_speech_level(samples) is samples
    faint = (1e-4 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
    assert at_speech_level(faint) is faint  # -80 dB: no microphone's speech


def test_inference_and_training_hear_the_same(debug_pipeline, speech, tmp_path):
    """Quiet speech, whichever way it takes to the encoder."""
    quiet = speech * np.float32(10 ** (-30 / 20))
    wanted = debug_pipeline.audio(at_speech_level(quiet))
    np.testing.assert_allclose(debug_pipeline.audio(quiet), wanted, atol=1e-5)
    assert np.abs(wanted - _as_it_is(debug_pipeline, quiet)).max() > 0.1
    np.savez(
        tmp_path / "a.npz",
        motion=np.zeros((5, 3), np.float32),
        waveform=np.round(quiet * 32767).astype(np.int16),
    )
    read = read_clip(tmp_path / "a.npz")["waveform"]
    np.testing.assert_allclose(read, at_speech_level(quiet), atol=2e-3)  # 16 bits of the quiet one


def _as_it_is(pipeline, samples):
    """The features without any gain."""
    whole = samples[None, : len(samples) // 640 * 640]
    features = pipeline.encode_audio_chunk(whole, whole.shape[1])[0]
    return np.pad(features, ((0, -(-len(samples) // 640) - len(features)), (0, 0)), "edge")


def test_a_stream_comes_to_the_level_of_the_whole_clip(debug_pipeline, speech):
    from vasa_jax.inference.stream import AudioWindows, split_audio

    quiet = speech * np.float32(10 ** (-30 / 20))
    whole = debug_pipeline.audio(quiet)

    def streamed(seconds):
        windows = AudioWindows(debug_pipeline)
        found = [w for block in split_audio(quiet, seconds) for w in windows.push(block)]
        return np.concatenate([w.features for w in (*found, *windows.finish())])

    first, second = streamed(0.04), streamed(1.7)
    np.testing.assert_array_equal(first, second)  # however it is cut
    assert first.shape == whole.shape
    scale = np.abs(whole).mean()
    # The level of the first windows is that of the first words, a few dB off at most.
    assert np.abs(first - whole).mean() < 0.1 * scale
    assert np.abs(first[-25:] - whole[-25:]).mean() < 0.02 * scale
    assert np.abs(_as_it_is(debug_pipeline, quiet) - whole).mean() > 0.3 * scale


def test_an_encoder_that_sets_the_level_gets_no_gain(speech):
    """wav2vec2 normalises every clip, so that quiet and loud speech have the same features."""
    from tests.audio.test_chunks import CONFIG, variables_of

    clip, encoder = speech[:20_000], Wav2Vec2Encoder(GROUP)
    variables = variables_of(encoder)
    loud, quiet = (
        encode_clip(encoder, variables, clip * np.float32(gain), CONFIG) for gain in (1.0, 0.05)
    )
    np.testing.assert_allclose(loud, quiet, atol=0.02 * np.abs(loud).max())
