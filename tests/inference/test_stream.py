"""Online equals offline: same features, same seed, same motion, same frames."""

import numpy as np
import pytest

from tests.assets import hum
from vasa_jax.audio import wav2vec2, whisper
from vasa_jax.audio.wav2vec2 import Wav2Vec2Shape
from vasa_jax.audio.whisper import WhisperShape
from vasa_jax.bundle import init_bundle
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.render import Clip, render
from vasa_jax.inference.request import Controls
from vasa_jax.inference.stream import AudioWindows, MotionWindows, split_audio, stream, warm_up
from vasa_jax.typing import Pose


@pytest.fixture(scope="module")
def waveform():
    noise = np.random.default_rng(0).standard_normal(16_000 * 3)
    return (hum(3.0) + 0.05 * noise).astype(np.float32)[: 16_000 * 3 - 300]  # a torn last frame


@pytest.fixture(scope="module")
def resting(debug_bundle):
    """As if trained on clips that begin with a portrait at rest."""
    config = get_config("debug", ["motion.extensions.neutral_start=0.5"])
    return Pipeline(debug_bundle._replace(config=config))


@pytest.fixture(scope="module")
def source(debug_pipeline):
    rng = np.random.default_rng(1)
    return debug_pipeline.encode(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize("seconds", [0.04, 0.033, 0.9, 10.0])
def test_features_are_those_of_the_whole_clip_however_it_is_cut(debug_pipeline, waveform, seconds):
    whole = debug_pipeline.audio(waveform)
    windows, pieces = AudioWindows(debug_pipeline), []
    for block in split_audio(waveform, seconds):
        pieces += list(windows.push(block))
    pieces += list(windows.finish())
    found = [piece.features for piece in pieces]
    assert [len(p) for p in found] == [20, 20, 20, 15]
    np.testing.assert_allclose(np.concatenate(found), whole, atol=2e-5)
    digests = debug_pipeline.digests(waveform, 0, 75)
    assert [piece.digest for piece in pieces] == list(digests)
    assert len(set(digests)) == 4


def test_features_come_as_soon_as_their_sound_is_there(debug_pipeline, waveform):
    windows = AudioWindows(debug_pipeline)
    needed = 640 * (debug_pipeline.config.motion.window + debug_pipeline.audio_receptive_frames)
    assert not list(windows.push(waveform[: needed - 1]))
    assert len(list(windows.push(waveform[needed - 1 : needed]))) == 1


def test_memory_does_not_grow(debug_pipeline):
    windows, held = AudioWindows(debug_pipeline), []
    block = hum(1.0).astype(np.float32)
    for _ in range(12):
        list(windows.push(block))
        held.append(len(windows._sound))
    assert max(held[4:]) == max(held) < 3 * 16_000


@pytest.mark.parametrize("with_pose", [False, True])
def test_motion_is_that_of_the_whole_clip(resting, source, with_pose):
    rng = np.random.default_rng(2)
    features = rng.standard_normal((75, 32)).astype(np.float32)
    controls = Controls(gaze=(10.0, -5.0), emotion=(("happiness", 0.6),))
    pose = rng.standard_normal((50, 7)).astype(np.float32) * 0.1 if with_pose else None
    whole = resting.generate_motion([source], [features], [controls], [7], [pose])[0]
    windows = MotionWindows(resting, source, controls, 7, pose)
    pieces = [windows(features[i : i + 20]) for i in range(0, 75, 20)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=2e-5)
    if with_pose:
        np.testing.assert_allclose(np.concatenate(pieces)[:50, :7], pose, atol=1e-6)


def test_frames_are_those_of_the_whole_clip(debug_pipeline, source, waveform):
    controls = Controls(gaze=(10.0, -5.0))
    features = debug_pipeline.audio(waveform)
    motion = debug_pipeline.generate_motion(
        [source], [features], [controls], [3], sounds=[waveform]
    )[0]
    whole = np.concatenate(list(debug_pipeline.decode(source, motion)))
    pieces = list(stream(debug_pipeline, source, split_audio(waveform, 0.1), controls, seed=3))
    online = np.concatenate([piece.frames for piece in pieces])
    assert online.shape == whole.shape == (75, 64, 64, 3)
    assert np.abs(online.astype(int) - whole).max() <= 1  # a level: rounding of near halves
    assert np.abs(np.diff(whole.astype(int), axis=0)).max() > 1  # it does move
    assert all(piece.received <= piece.made for piece in pieces)


def test_one_seed_moves_other_speech_otherwise_and_the_same_speech_alike(debug_pipeline, waveform):
    """With the same features: it is the samples that the noise follows, and each window's alone."""
    features = debug_pipeline.audio(waveform)
    late = waveform.copy()
    late[640 * 40 :] *= 0.9

    def motion(sound, seed=3):
        return debug_pipeline.generate_motion(
            [None], [features], [Controls()], [seed], sounds=[sound]
        )[0]

    one = motion(waveform)
    np.testing.assert_array_equal(one, motion(waveform.copy()))
    other = motion(late)
    np.testing.assert_array_equal(other[:40], one[:40])
    assert np.abs(other[40:60] - one[40:60]).max() > 0.1
    assert np.abs(motion(waveform[::-1].copy())[:20] - one[:20]).max() > 0.1
    assert np.abs(motion(waveform, 4) - one).max() > 0.1


def test_every_way_to_motion_begins_at_the_portraits_head(resting, source, waveform, monkeypatch):
    """Whole clips, streams and renders: none hands out motion that is not placed yet."""
    place = Pose(np.zeros((1, 3)), np.array([[0.1, -0.2, 0.05]]), np.array([[0.3]]))
    source, wish = source._replace(pose=place), Controls(distance=1.25)
    features = resting.audio(waveform)
    decoded = []

    def blocks(given):
        decoded.extend(block.vectors[: block.frames] for block in given)
        return []

    monkeypatch.setattr(resting, "decode_blocks", blocks)
    list(render([Clip(source, waveform, 75, wish)], resting, Reporter("quiet")))
    rendered = np.concatenate(decoded)
    decoded.clear()
    list(stream(resting, source, split_audio(waveform, 0.5), wish))
    streamed = np.concatenate(decoded)
    whole = resting.generate_motion([source], [features], [wish], [0], sounds=[waveform])[0]
    assert whole.shape == rendered.shape == streamed.shape
    for motion in (whole, rendered, streamed):
        np.testing.assert_allclose(motion[0, 3:6], [0.1, -0.2, 0.05], atol=1e-6)
        np.testing.assert_allclose(motion[0, 6], 0.3 - np.log(1.25), atol=1e-6)
        np.testing.assert_allclose(motion, whole, atol=1e-4)


def test_frames_go_out_before_the_sound_is_over(debug_pipeline, source, waveform):
    taken = []

    def blocks():
        for block in split_audio(waveform, 0.2):
            taken.append(block)
            yield block

    first = next(stream(debug_pipeline, source, blocks()))
    assert len(first.frames) == debug_pipeline.config.inference.decode_batch
    assert len(taken) == 5  # 20 frames and three of lookahead: 0.92 s


def test_silence_of_no_length_gives_no_frames(debug_pipeline, source):
    assert list(stream(debug_pipeline, source, [])) == []


def test_broken_sound_is_refused(debug_pipeline):
    with pytest.raises(UserError, match="not finite"):
        list(AudioWindows(debug_pipeline).push(np.full(10, np.nan, np.float32)))


SMALL = {
    "whisper": WhisperShape(
        d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16
    ),
    "wav2vec2": Wav2Vec2Shape(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    ),
}


@pytest.mark.parametrize("encoder", SMALL)
def test_encoders_that_see_a_whole_chunk_stream_too(encoder, source, monkeypatch):
    """Their features depend on what is heard; their number must hold, values stay finite."""
    variants = {"whisper": whisper, "wav2vec2": wav2vec2}[encoder].VARIANTS
    monkeypatch.setitem(variants, "small", SMALL[encoder])
    config = get_config(
        "debug",
        [
            f"audio.encoder={encoder}",
            "audio.variant=small",
            "audio.dim=16",
            "audio.overlap_seconds=0.4",
            "audio.chunk_seconds=3",
        ],
    )
    pipeline = Pipeline(init_bundle(config))
    assert pipeline.audio_receptive_frames is None
    warm_up(pipeline, source)
    windows = AudioWindows(pipeline)
    sound = hum(2.0).astype(np.float32)
    found = [w for block in split_audio(sound, 0.25) for w in windows.push(block)]
    parts = [window.features for window in (*found, *windows.finish())]
    assert [p.shape for p in parts] == [(20, 16), (20, 16), (10, 16)]
    assert all(np.isfinite(p).all() for p in parts)
