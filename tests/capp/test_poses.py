"""What the pose encoder sees: rest is lost, amplitude and speed are not; gaps of a track."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.capp.helpers import make_clip
from vasa_jax.capp.poses import CHANGE, SPREAD, fill_gaps, measurable_starts, pose_tokens


def test_tokens_are_angles_about_their_mean_and_their_changes():
    rotation = make_clip(10)[0][None]
    found = np.asarray(pose_tokens(jnp.asarray(rotation)))
    np.testing.assert_allclose(
        found[0, :, :3], (rotation[0] - rotation[0].mean(0)) / SPREAD, atol=1e-5
    )
    np.testing.assert_allclose(found[0, 1:, 3:], np.diff(rotation[0], axis=0) / CHANGE, atol=1e-4)
    assert not found[0, 0, 3:].any()


def test_rest_is_lost_and_amplitude_is_kept():
    rotation = jnp.asarray(make_clip(20)[0][None])
    tokens = pose_tokens(rotation)
    rest = jnp.asarray([0.3, -0.5, 0.1])
    np.testing.assert_allclose(pose_tokens(rotation + rest), tokens, atol=2e-4)
    np.testing.assert_allclose(pose_tokens(3 * rotation), 3 * tokens, atol=1e-3)


def test_gaps_are_interpolated_and_ends_are_held():
    rotation = np.arange(18, dtype=np.float32).reshape(6, 3)
    gone = rotation.copy()
    gone[[0, 3]] = np.nan
    gone[5, 1] = np.inf
    found, known = fill_gaps(gone)
    np.testing.assert_array_equal(known, [False, True, True, False, True, False])
    np.testing.assert_allclose(found, rotation[[1, 1, 2, 3, 4, 4]])


@pytest.mark.parametrize("frames", [0, 4])
def test_without_any_pose_there_is_nothing_to_interpolate(frames):
    found, known = fill_gaps(np.full((frames, 3), np.nan, np.float32))
    assert not known.any()
    assert not found.any()
    assert not len(measurable_starts(known, 2))


def test_windows_with_more_than_a_quarter_missing_are_left_out():
    known = np.ones(12, bool)
    known[4:6] = False
    np.testing.assert_array_equal(measurable_starts(known, 4), [0, 1, 5, 6, 7, 8])
    np.testing.assert_array_equal(measurable_starts(known, 8), [0, 1, 2, 3, 4])
    assert not len(measurable_starts(known, 13))
