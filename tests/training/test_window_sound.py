"""Stage 2 hears what inference hears: features of windows are those of the whole clip."""

import dataclasses
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.audio.helpers import (
    GROUP,
    WHISPER,
    arrays_of,
    torch_wav2vec2,
    torch_whisper,
    voice,
)
from vasa_jax.audio import build_audio_encoder, load_audio_weights, wav2vec2, whisper
from vasa_jax.audio.frozen import STORE, FrozenEncoder, load_frozen_encoder
from vasa_jax.bundle import Bundle
from vasa_jax.config import AudioConfig, get_config
from vasa_jax.errors import UserError
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.motion.stats import MotionStats
from vasa_jax.params import load_safetensors, save_safetensors
from vasa_jax.training.export_bundle import assemble
from vasa_jax.training.loop import Result
from vasa_jax.training.mesh import single_device
from vasa_jax.training.motion_batch import motion_batch_struct, window_features
from vasa_jax.training.motion_clips import MotionClips
from vasa_jax.training.motion_dataset.extract import Clip, Content, extract_clips
from vasa_jax.training.run import Exported, run

FRAMES = (88, 9, 40)
"""Longer than a chunk (2 s), shorter than a window, and in between."""
MEL = AudioConfig("mel", "", 32, mel_width=16, mel_blocks=2, chunk_seconds=2.0, overlap_seconds=0.4)
DEBUG = get_config("debug")
K, W = DEBUG.motion.context, DEBUG.motion.window


def sound(number):
    """Not a whole number of frames, louder and louder: no window has the statistics of its clip."""
    samples = FRAMES[number] * 640 - 150
    return voice(samples, number) * np.geomspace(0.05, 1, samples).astype(np.float32)


class Encoder(MotionEncoder):
    """Without a network: frame i of clip n has the vector (n, i, 0, …)."""

    identity, batch, config = "face", 8, DEBUG

    def __init__(self):
        pass

    def __call__(self, batches):
        (frames,) = batches
        motion = np.zeros((len(frames), DEBUG.face.motion_dim), np.float32)
        motion[:, 0], motion[:, 1] = frames[:, 0, 0, 0], np.arange(len(frames))
        return motion


def extract(folder, encoder=None):
    def clip(n):
        frames = np.full((FRAMES[n], 1, 1, 3), n, np.uint8)
        return Clip("train", lambda: n, lambda: Content([frames], sound(n), {}))

    clips = {f"id{n}/a": clip(n) for n in range(len(FRAMES))}
    summary = extract_clips(clips, folder, Encoder(), Reporter("quiet"), sound=encoder)
    assert summary.made == len(FRAMES), summary.reasons
    return folder


@pytest.fixture(scope="module", params=["wav2vec2", "whisper"])
def frozen(request, tmp_path_factory, debug_bundle):
    """A tiny encoder's config, its published file, and inference with it."""
    module, shape, make = {
        "wav2vec2": (wav2vec2, GROUP, torch_wav2vec2),
        "whisper": (whisper, WHISPER, torch_whisper),
    }[request.param]
    audio = dataclasses.replace(MEL, encoder=request.param, variant="tiny")
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_safetensors(file, arrays_of(make(shape)), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.VARIANTS, "tiny", shape)
        config = dataclasses.replace(DEBUG, audio=audio)
        params = load_audio_weights(build_audio_encoder(audio), file)
        yield config, file, heard_by(debug_bundle, config, params)


def heard_by(bundle, config, params):
    """What `generate` hears of a clip."""
    params = {**bundle.params, "audio": params}
    return Pipeline(Bundle(config, params, bundle.stats, trained=True)).audio


def windows(data, features=lambda batch: batch.audio, batches=12):
    """(clip, first frame, valid, features) of windows."""
    for batch in islice(data, batches):
        found = np.asarray(features(batch))
        for motion, valid, row in zip(batch.motion, batch.valid, found, strict=True):
            yield int(motion[K, 0]), int(motion[K, 1]) - K, valid, row


def compare(found, hear, sounds, atol):
    wholes, seen = [hear(wave) for wave in sounds], set()
    for number, first, valid, row in found:
        frames = np.arange(first, first + K + W)[valid]
        np.testing.assert_allclose(row[valid], wholes[number][frames], atol=atol, rtol=0)
        seen.add((number, first))
    assert {n for n, _ in seen} == set(range(len(FRAMES)))
    assert len(seen) > 20
    assert min(first for _, first in seen) < 0
    assert any(first + K + W > FRAMES[n] for n, first in seen)


def as_stored(n):
    return np.round(np.clip(sound(n), -1, 1) * 32767).astype(np.int16).astype(np.float32) / 32767


def test_stored_features_are_those_of_inference(frozen, tmp_path):
    config, file, hear = frozen
    extract(tmp_path, load_frozen_encoder(config, file))
    data = MotionClips(tmp_path, config, 6)
    compare(windows(data), hear, [sound(n) for n in range(len(FRAMES))], 0)
    # Given the weights as well, the stored ones serve.
    again = MotionClips(tmp_path, config, 6, encoder=load_frozen_encoder(config, file))
    jax.tree.map(np.testing.assert_array_equal, next(again), next(MotionClips(tmp_path, config, 6)))
    assert not (tmp_path / "train" / STORE).exists()


def test_sound_of_clips_is_encoded_whole_and_once(frozen, tmp_path):
    config, file, hear = frozen
    encoder, calls = load_frozen_encoder(config, file), []
    counted = encoder._replace(encode=lambda wave: calls.append(1) or encoder.encode(wave))
    extract(tmp_path)
    data = MotionClips(tmp_path, config, 6, encoder=counted)
    compare(windows(data), hear, map(as_stored, range(len(FRAMES))), 0)
    assert len(calls) == len(FRAMES)
    later = MotionClips(tmp_path, config, 6, encoder=counted)
    jax.tree.map(
        np.testing.assert_array_equal,
        next(later),
        next(MotionClips(tmp_path, config, 6, encoder=encoder)),
    )
    assert len(calls) == len(FRAMES)
    # A file that was cut short is made anew.
    for path in (tmp_path / "train" / STORE).rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:-5])
    repaired = MotionClips(tmp_path, config, 6, encoder=counted)
    compare(windows(repaired), hear, map(as_stored, range(len(FRAMES))), 0)
    assert len(calls) == 2 * len(FRAMES)


def test_a_window_alone_sounds_otherwise(frozen):
    """What the tests above compare can differ: these encoders hear more than a window."""
    *_, hear = frozen
    wave, at = sound(0), 30
    whole = hear(wave)[at : at + W + K]
    alone = hear(wave[at * 640 : (at + W + K) * 640])
    assert np.linalg.norm(alone - whole) > 0.1 * np.linalg.norm(whole)


def starting(config, share):
    """A config of which a share of the windows starts from a neutral face."""
    extensions = dataclasses.replace(config.motion.extensions, neutral_start=share)
    motion = dataclasses.replace(config.motion, extensions=extensions)
    return dataclasses.replace(config, motion=motion)


def mel_case(bundle, neutral_start=0.0):
    config = starting(dataclasses.replace(DEBUG, audio=MEL), neutral_start)
    network = build_audio_encoder(config.audio)
    params = network.init(jax.random.key(0), jnp.zeros((1, 6400)))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: x + 0.1 * rng.standard_normal(x.shape).astype(np.float32), params
    )
    step = jax.jit(lambda batch: window_features(config, single_device(), {"audio": params}, batch))
    return config, heard_by(bundle, config, params), step


def test_the_trained_encoder_hears_what_inference_hears(debug_bundle, tmp_path):
    """At the edges of a clip, too."""
    config, hear, step = mel_case(debug_bundle)
    data = MotionClips(extract(tmp_path), config, 6)
    compare(windows(data, step), hear, map(as_stored, range(len(FRAMES))), 2e-5)


def test_a_clip_after_a_rest_sounds_as_generated_ones_do(debug_bundle, tmp_path):
    """Context: silence by itself. Window: a clip that begins there."""
    config, hear, step = mel_case(debug_bundle, neutral_start=1.0)
    data = MotionClips(extract(tmp_path), config, 6)
    assert data.struct.rests is not None
    for number, first, valid, row in windows(data, step, 4):
        silence = hear(np.zeros(K * 640, np.float32))
        np.testing.assert_allclose(row[:K], silence, atol=2e-5)
        begun = hear(as_stored(number)[(first + K) * 640 :])[:W]
        kept = min(valid[K:].sum(), W - config.audio.mel_blocks - 1)
        np.testing.assert_allclose(row[K:][:kept], begun[:kept], atol=2e-5)


def test_a_frozen_encoder_hears_silence_before_a_clip(frozen, tmp_path):
    config, file, hear = frozen
    config = starting(config, 1.0)
    encoder = load_frozen_encoder(config, file)
    data = MotionClips(extract(tmp_path, encoder), config, 6, encoder=encoder)
    silence = hear(np.zeros(K * 640, np.float32))
    for audio in next(data).audio:
        np.testing.assert_array_equal(audio[:K], silence)
    with pytest.raises(UserError, match=r"features of silence.*--audio-weights"):
        MotionClips(tmp_path, config, 6)


def test_features_of_other_weights_are_refused(frozen, tmp_path):
    config, file, _ = frozen
    encoder = load_frozen_encoder(config, file)
    extract(tmp_path, encoder)
    for other in (
        dataclasses.replace(config, audio=dataclasses.replace(config.audio, chunk_seconds=3.0)),
        dataclasses.replace(config, precision="bf16"),
    ):
        with pytest.raises(UserError, match="other weights, chunks or precision"):
            MotionClips(tmp_path, config, 6, encoder=load_frozen_encoder(other, file))


def test_sound_without_features_or_weights_is_refused(frozen, tmp_path):
    config, *_ = frozen
    extract(tmp_path / "clips")
    with pytest.raises(UserError, match=r"needs an array 'audio'.*--audio-weights"):
        next(MotionClips(tmp_path / "clips", config, 2))
    # Ready windows of sound are no clips: what surrounds them cannot be heard.
    struct = motion_batch_struct(dataclasses.replace(config, audio=MEL), 8)
    batch = {k: np.ones(v.shape, v.dtype) for k, v in struct._asdict().items() if v is not None}
    (tmp_path / "ready").mkdir()
    np.savez(tmp_path / "ready" / "0.npz", **batch)
    encoder = FrozenEncoder("x", lambda wave: 1 / 0)
    with pytest.raises(UserError, match="lack the array 'audio'"):
        run(config, "motion", tmp_path / "work", tmp_path / "ready", encoder=encoder, steps=1)


def test_the_bundle_hears_with_the_weights_of_training(frozen, tmp_path, monkeypatch):
    config, file, _ = frozen
    monkeypatch.setattr("vasa_jax.training.run.train", lambda *_, **__: Result(0, True, None))
    clips = extract(tmp_path / "clips", load_frozen_encoder(config, file))
    run(config, "motion", tmp_path / "work", clips)
    stats = MotionStats(np.zeros(1, np.float32), np.ones(1, np.float32))
    made = Exported({"motion": {}, "face": {}}, stats, 0)
    monkeypatch.setattr("vasa_jax.training.export_bundle.export", lambda *_: made)
    monkeypatch.setattr("vasa_jax.training.export_bundle.check_against", lambda *_: None)
    assert "audio" in assemble(config, motion=tmp_path / "work", audio_weights=file).origin
    arrays = load_safetensors(file)
    first = next(iter(arrays))
    save_safetensors(tmp_path / "other.safetensors", {**arrays, first: arrays[first] + 0.01}, {})
    with pytest.raises(UserError, match="trained on audio features of other weights"):
        assemble(config, motion=tmp_path / "work", audio_weights=tmp_path / "other.safetensors")
    (tmp_path / "work" / "checkpoints").mkdir()
    other = extract(tmp_path / "again", load_frozen_encoder(config, tmp_path / "other.safetensors"))
    with pytest.raises(UserError, match="has learned from audio features of other weights"):
        run(config, "motion", tmp_path / "work", other)
