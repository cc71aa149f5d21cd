"""What `generate` tells a clip's first window is what training showed, in every config."""

import dataclasses
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.audio.helpers import GROUP, voice
from vasa_jax.audio import build_audio_encoder, encode_clip, wav2vec2
from vasa_jax.audio.frozen import FrozenEncoder
from vasa_jax.config import NAMES, get_config
from vasa_jax.errors import UserError
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.request import Controls
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.mesh import single_device
from vasa_jax.training.motion_batch import motion_batch_struct, window_features
from vasa_jax.training.motion_clips import MotionClips
from vasa_jax.training.run import run
from vasa_jax.typing import POSE_DIM, Pose, Source

DEBUG = get_config("debug")
K = DEBUG.motion.context


def small(name):
    """A named config with networks of debug's size."""
    config = get_config(name)
    audio = dataclasses.replace(
        DEBUG.audio,
        encoder=config.audio.encoder,
        variant="tiny",
    )
    motion = dataclasses.replace(DEBUG.motion, extensions=config.motion.extensions)
    return dataclasses.replace(DEBUG, audio=audio, motion=motion, diffusion=config.diffusion)


@pytest.fixture(params=NAMES)
def case(request, debug_bundle, tmp_path, monkeypatch):
    """A config, its inference, and its training data."""
    monkeypatch.setitem(wav2vec2.VARIANTS, "tiny", GROUP)
    config = small(request.param)
    encoder = build_audio_encoder(config.audio)
    variables = jax.jit(encoder.init)(jax.random.key(0), jnp.zeros((1, 6400)))
    params = {**debug_bundle.params, "audio": variables["params"]}
    rng = np.random.default_rng(0)
    for n in range(3):
        motion = rng.normal(0.3, 0.2, (60, DEBUG.face.motion_dim)).astype(np.float32)
        np.savez(tmp_path / f"{n}.npz", motion=motion.cumsum(0), waveform=voice(60 * 640, n))
    frozen = FrozenEncoder("x", lambda wave: encode_clip(encoder, variables, wave, config.audio))
    data = MotionClips(tmp_path, config, 8, encoder=frozen)
    pipeline = Pipeline(debug_bundle._replace(config=config, params=params, stats=data.stats))
    return config, pipeline, data


def told(pipeline, monkeypatch):
    """The context of the first window of a generated clip; samples nothing."""
    seen = []

    def keep(parameters, carry, inputs, keys):
        seen.append(carry)
        return carry, jnp.zeros((*inputs.audio.shape[:3], DEBUG.face.motion_dim))

    monkeypatch.setattr(pipeline, "_sample", keep)
    pose = Pose(np.float32([[0.2, -0.1, 0.1]]), np.float32([[0.1, 0, 0]]), np.float32([[0.2]]))
    empty = np.zeros((1, 1, 1, 1, 1), np.float32)
    source = Source(empty, empty[0], pose)
    features = np.zeros((30, pipeline.config.audio.dim), np.float32)
    pipeline.generate_motion([source], [features], [Controls()], [0])
    return seen[0]


def contexts(config, pipeline, data):
    """(motion, sound, whether it is known) before the windows of training."""
    params = {"audio": pipeline._params["audio"]}
    hear = jax.jit(lambda batch: window_features(config, single_device(), params, batch))
    for batch in islice(data, 6):
        motion, audio = data.stats.normalise(batch.motion[:, :K]), np.asarray(hear(batch))[:, :K]
        yield from zip(motion, audio, batch.valid[:, :K].all(1), strict=True)


def held(motion):
    """Motion up to the pose it begins with."""
    return np.concatenate([motion[:, :POSE_DIM] - motion[:1, :POSE_DIM], motion[:, POSE_DIM:]], 1)


def test_the_first_window_is_one_that_training_shows(case, monkeypatch):
    config, pipeline, data = case
    carry = told(pipeline, monkeypatch)
    rows = list(contexts(config, pipeline, data))
    resting = [
        known
        and np.allclose(held(motion), 0, atol=1e-5)
        and np.allclose(audio, pipeline.audio(np.zeros(K * 640, np.float32))[:K], atol=1e-4)
        for motion, audio, known in rows
    ]
    if not carry.has_context[0]:
        assert config.train_motion.drop_context > 0
        assert not all(known for *_, known in rows)  # and where a clip begins
        return
    np.testing.assert_allclose(held(np.asarray(carry.motion_context[0])), 0, atol=1e-5)
    np.testing.assert_allclose(
        carry.audio_context[0], pipeline.audio(np.zeros(K * 640, np.float32))[:K], atol=1e-5
    )
    assert np.mean(resting) > 0.1


def test_the_demo_begins_with_its_portrait_and_the_papers_model_with_nothing():
    shares = {name: get_config(name).motion.extensions.neutral_start for name in NAMES}
    assert shares["demo"] > 0
    assert shares["vasa1"] == shares["base256"] == 0


def test_ready_batches_that_show_no_such_start_are_refused(tmp_path):
    config = get_config("debug", ["motion.extensions.neutral_start=0.5"])
    batch = next(FakeBatches(motion_batch_struct(config, 8)))._asdict()
    batch = {k: v for k, v in batch.items() if v is not None and k != "rests"}
    np.savez(tmp_path / "0.npz", **batch)
    with pytest.raises(UserError, match=r"'rests'.*neutral_start=0"):
        run(config, "motion", tmp_path / "work", tmp_path, steps=1)
