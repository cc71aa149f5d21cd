"""Clips begin as their portrait where the model learnt it, and as in the paper where it did not."""

import ast
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import vasa_jax
from tests.assets import hum
from vasa_jax.config import get_config
from vasa_jax.extensions import neutral_context
from vasa_jax.extensions.neutral_context import (
    BLEND_FRAMES,
    InitialContext,
    PortraitAnchor,
    anchor_to_portrait,
    blend_from_neutral,
    initial_context,
    mute_context,
    with_initial_context,
)
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.request import Controls
from vasa_jax.motion.clips import null_carry
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import POSE_DIM, Pose

ROTATION, PLACE, SIZE = [0.2, -0.1, 0.05], [0.1, -0.2, 0.05], 0.3
POSE = Pose(np.array([ROTATION]), np.array([PLACE]), np.array([[SIZE]]))
DIM = POSE_DIM + 5
MEAN = np.linspace(-0.5, 0.5, DIM, dtype=np.float32)
STATS = MotionStats(MEAN, np.linspace(0.5, 2, DIM, dtype=np.float32))


@pytest.fixture
def motion():
    rng = np.random.default_rng(3)
    return MEAN + 0.1 * rng.standard_normal((20, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def source(debug_pipeline):
    rng = np.random.default_rng(1)
    found = debug_pipeline.encode(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return found._replace(pose=POSE)


def test_the_initial_context_is_the_portraits_head_at_rest_in_silence():
    silence = np.full((4, 3), 0.5, np.float32)
    context = initial_context(POSE, STATS, 1.5, silence)
    assert context.motion.shape == (4, DIM)
    pose = [*ROTATION, *PLACE, SIZE - np.log(1.5)]
    np.testing.assert_allclose(context.motion[:, :POSE_DIM], np.tile(pose, (4, 1)), atol=1e-6)
    np.testing.assert_array_equal(context.motion[:, POSE_DIM:], np.tile(MEAN[POSE_DIM:], (4, 1)))
    np.testing.assert_array_equal(context.audio, silence)
    assert initial_context(POSE, STATS, None, silence).motion[0, 6] == MEAN[6]


def test_a_context_reaches_its_own_clip_in_the_transformers_units():
    config = get_config("debug").motion
    carry = null_carry(2, config, DIM, 3)
    shape = config.context, DIM
    given = InitialContext(np.full(shape, 7.0, np.float32), np.ones((config.context, 3)))
    found = with_initial_context(carry, [None, given], STATS)
    assert found.has_context.tolist() == [False, True]
    np.testing.assert_allclose(found.motion_context[1], STATS.normalise(given.motion), atol=1e-6)
    np.testing.assert_array_equal(found.audio_context[1], given.audio)
    assert not found.motion_context[0].any()


def test_motion_is_shifted_to_the_portraits_place_and_size(motion):
    moved = anchor_to_portrait(motion, POSE, STATS)
    np.testing.assert_allclose(moved[0, 3:7], [*PLACE, SIZE], atol=1e-6)
    # How it moves from there is as it was.
    np.testing.assert_allclose(np.diff(moved, axis=0), np.diff(motion, axis=0), atol=1e-6)
    others = np.delete(np.arange(DIM), range(3, 7))
    np.testing.assert_array_equal(moved[:, others], motion[:, others])
    far = anchor_to_portrait(motion, POSE, STATS, 1.5)
    np.testing.assert_allclose(np.exp(moved[:, 6] - far[:, 6]), 1.5, rtol=1e-5)
    # Left free: a head that is nearer than the mean stays nearer.
    free = anchor_to_portrait(motion, POSE, STATS, None)
    np.testing.assert_allclose(free[:, 6] - motion[:, 6], SIZE - MEAN[6], atol=1e-6)
    anchor = PortraitAnchor(POSE, STATS, 1.0)
    parts = [anchor(part) for part in (motion[:8], motion[8:9], motion[9:])]
    np.testing.assert_array_equal(np.concatenate(parts), moved)


def test_a_training_window_departs_smoothly_from_a_neutral_context(motion):
    context = 4
    made = blend_from_neutral(motion, MEAN, context)
    np.testing.assert_array_equal(made[:context, :POSE_DIM], motion[[context] * context, :POSE_DIM])
    np.testing.assert_array_equal(made[context:, :POSE_DIM], motion[context:, :POSE_DIM])
    gap = made[:, POSE_DIM:] - MEAN[POSE_DIM:]
    assert not gap[:context].any()
    share = gap[context:] / (motion[context:, POSE_DIM:] - MEAN[POSE_DIM:])
    x = np.minimum(np.arange(1, 17) / (BLEND_FRAMES + 1), 1)  # a cubic step: 3 x^2 - 2 x^3
    np.testing.assert_allclose(share, np.tile(3 * x**2 - 2 * x**3, (5, 1)).T, atol=1e-4)


def test_sound_before_a_neutral_start_is_silence():
    features = jnp.arange(24.0).reshape(2, 6, 2)
    found = mute_context(features, jnp.full((1, 2, 2), -1.0), jnp.array([True, False]))
    np.testing.assert_array_equal(found[0, :2], -1)
    np.testing.assert_array_equal(found[0, 2:], features[0, 2:])
    np.testing.assert_array_equal(found[1], features[1])


def test_a_model_that_learnt_it_begins_with_the_portraits_head(debug_bundle, source):
    config = get_config("debug", ["motion.extensions.neutral_start=0.5"])
    pipeline = Pipeline(debug_bundle._replace(config=config))
    features = np.random.default_rng(4).standard_normal((30, 32)).astype(np.float32)
    free, begun = (
        pipeline.generate_motion([begin], [features], [Controls()], [5])[0]
        for begin in (None, source)
    )
    assert np.abs(free[:, :3] - begun[:, :3]).max() > 1e-3  # the sampler knows its context
    np.testing.assert_allclose(begun[0, 3:7], [*PLACE, SIZE], atol=1e-6)
    # A given track is kept, wherever the portrait's head is.
    track = np.full((30, POSE_DIM), 0.05, np.float32)
    kept = pipeline.generate_motion([source], [features], [Controls()], [5], [track])[0]
    np.testing.assert_allclose(kept[:, :POSE_DIM], track, atol=1e-4)


def test_of_the_papers_model_nothing_of_it_runs(debug_pipeline, source, monkeypatch):
    def never(*arguments, **named):
        raise AssertionError("an extension ran")

    functions = [f for f in neutral_context.__all__ if callable(getattr(neutral_context, f))]
    functions.remove("has_neutral_start")
    for place in ("vasa_jax.inference.pipeline", "vasa_jax.extensions.neutral_context"):
        for name in functions:
            monkeypatch.setattr(f"{place}.{name}", never, raising=False)
    assert not neutral_context.has_neutral_start(get_config("vasa1"))
    assert not neutral_context.has_neutral_start(debug_pipeline.config)
    features = debug_pipeline.audio(hum(1.0).astype(np.float32))
    free, begun = (
        debug_pipeline.generate_motion([begin], [features], [Controls()], [5])[0]
        for begin in (None, source)
    )
    np.testing.assert_array_equal(begun, free)


def test_motion_does_not_know_extensions():
    folder = Path(vasa_jax.__file__).parent / "motion"
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            module = getattr(node, "module", None)
            assert not str(module).startswith("vasa_jax.extensions"), file
