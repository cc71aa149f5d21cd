"""The score of a clip: its windows, and what cannot be measured."""

import numpy as np
import pytest

from tests.capp.helpers import make_clip
from vasa_jax.capp.network import build_capp
from vasa_jax.capp.score import BATCH, STRIDE, CappScorer
from vasa_jax.capp.weights import CappWeights
from vasa_jax.config.capp import get_capp_config
from vasa_jax.errors import UserError


@pytest.fixture(scope="module")
def scorer():
    import jax
    import jax.numpy as jnp

    config = get_capp_config("capp_debug")
    params = build_capp(config).init(
        jax.random.key(0), jnp.zeros((1, 75, 3)), jnp.zeros((1, 48_000))
    )["params"]
    return CappScorer(CappWeights(config, params, 0))


def test_a_score_is_the_mean_of_windows_one_a_second(scorer):
    rotation, wave = make_clip(75 + 2 * STRIDE + 24)
    windows = scorer.windows(rotation, wave)
    assert windows.shape == (3,)
    alone = [
        scorer.windows(rotation, wave, np.array([start]))[0] for start in (0, STRIDE, 2 * STRIDE)
    ]
    np.testing.assert_allclose(windows, alone, atol=1e-6)
    np.testing.assert_allclose(scorer(rotation, wave), windows.mean(), atol=1e-6)
    assert (np.abs(windows) <= 1 + 1e-5).all()


def test_more_windows_than_are_embedded_at_once(scorer):
    rotation, wave = make_clip(75 + BATCH * STRIDE + 3)
    windows = scorer.windows(rotation, wave)
    assert len(windows) == BATCH + 1
    assert np.isfinite(windows).all()


def test_a_shift_takes_later_sound(scorer):
    rotation, wave = make_clip(120)
    start = np.array([10])
    found = scorer.windows(rotation, wave, start, shift=3)
    moved = np.concatenate([rotation[:3], rotation])[:120]
    want = scorer.windows(moved, wave, start + 3)
    np.testing.assert_allclose(found, want, atol=1e-5)
    assert np.isnan(scorer.windows(rotation, wave, np.array([0]), shift=-1)).all()
    assert np.isnan(scorer.windows(rotation, wave, np.array([45]), shift=1)).all()


def test_shorter_than_a_window_is_not_measured(scorer):
    rotation, wave = make_clip(75)
    assert np.isfinite(scorer(rotation, wave))
    for frames in (0, 1, 74):
        assert np.isnan(scorer(rotation[:frames], wave))


def test_silence_a_constant_pose_and_no_face_are_not_measured(scorer):
    rotation, wave = make_clip(110)
    assert np.isnan(scorer(rotation, np.zeros_like(wave)))
    assert np.isnan(scorer(rotation, wave[:0]))
    assert np.isnan(scorer(np.repeat(rotation[:1], 110, 0), wave))
    assert np.isnan(scorer(np.full_like(rotation, np.nan), wave))


def test_a_few_frames_without_a_face_are_interpolated_and_many_are_left_out(scorer):
    rotation, wave = make_clip(125)
    straight = rotation.copy()
    straight[41] = (straight[40] + straight[42]) / 2
    gone = straight.copy()
    gone[41] = np.nan
    np.testing.assert_allclose(
        scorer.windows(gone, wave), scorer.windows(straight, wave), atol=1e-5
    )
    gone[:25] = np.nan
    found = scorer.windows(gone, wave)
    assert np.isnan(found[0])
    assert np.isfinite(found[1:]).all()
    np.testing.assert_allclose(scorer(gone, wave), found[1:].mean(), atol=1e-6)


def test_sound_that_ends_early_is_continued_by_silence_and_more_is_left_out(scorer):
    rotation, wave = make_clip(100)
    short = wave[: 90 * 640]
    want = scorer(rotation, np.pad(short, (0, len(wave) - len(short))))
    np.testing.assert_allclose(scorer(rotation, short), want, atol=1e-6)
    more = np.concatenate([wave, 0.5 * np.ones(5000, np.float32)])
    np.testing.assert_allclose(scorer(rotation, more), scorer(rotation, wave), atol=1e-6)


def test_arrays_of_other_shapes_and_broken_sound_are_refused(scorer):
    rotation, wave = make_clip(80)
    with pytest.raises(UserError, match="not finite"):
        scorer(rotation, np.where(np.arange(len(wave)) == 9, np.nan, wave).astype(np.float32))
