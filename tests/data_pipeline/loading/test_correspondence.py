"""Where one picture shows what another does: on flat heads whose answer is known."""

import numpy as np
import pytest

from tests.data_pipeline.helpers import seen_places
from vasa_jax.data_pipeline.loading.correspondence import correspond, decode_places, encode_places
from vasa_jax.errors import UserError

SIDE = 48


def plane(shift=(0.0, 0.0), turn=0.0, half=0.5):
    """A flat head 2 * half wide, moved by shares of the picture and turned about the upright axis
    by an angle under which it looks narrower."""
    y, x = (np.mgrid[:SIDE, :SIDE].astype(np.float32) + 0.5) / SIDE
    u, v = 2 * (x - 0.5 - shift[0]) / np.cos(turn), 2 * (y - 0.5 - shift[1])
    there = (np.abs(u) < half) & (np.abs(v) < half)
    # At rest it is bent, as a face is: nothing of it lies in a plane.
    return np.stack([u, v, 0.3 * u**2], -1).astype(np.float32), there


def test_places_survive_their_file():
    places = np.random.default_rng(0).uniform(-8, 8, (16, 16, 4)).astype(np.float32)
    places[..., 3] = places[..., 0] > 0
    found, there = decode_places(encode_places(places))
    np.testing.assert_array_equal(there, places[..., 3] > 0.5)
    np.testing.assert_allclose(found[there], places[..., :3][there], atol=5.1e-4)
    with pytest.raises(UserError, match="places are broken"):
        decode_places(b"x")


@pytest.mark.parametrize(("shift", "turn"), [((0.1037, -0.0513), 0.0), ((0.0, 0.02), 0.8)])
def test_a_moved_head_is_found_between_the_pixels(shift, turn):
    source, target = plane(shift, turn), plane()
    (found,) = correspond(source, [target])
    axis = (np.arange(SIDE) + 0.5) / SIDE
    own = np.stack(np.meshgrid(axis, axis), -1)
    # The target shows u at 0.5 + u / 2, the source at 0.5 + shift + u cos / 2.
    want = (own - 0.5) * [np.cos(turn), 1] + 0.5 + np.array(shift)
    inner = np.abs(own - 0.5).max(-1) < 0.25 - 2 / SIDE
    assert found[inner, 2].all()
    error = np.abs(found[inner, :2] - want[inner]) * SIDE
    assert error.mean() < 0.03  # pixels
    assert error.max() < 0.3
    np.testing.assert_array_equal(found[..., 3], target[1])


def test_what_is_hidden_or_uncovered_is_told():
    """The source shows the left half of the head alone; behind it lies what is hidden there."""
    places, there = plane()
    half = there & (np.arange(SIDE) < SIDE // 2)
    (found,) = correspond((places, half), [(places, there)])
    right = there & (np.arange(SIDE) > SIDE // 2 + 2)
    assert found[half, 2].all()
    assert not found[right, 2].any()
    # Background: where neither shows the person.
    (found,) = correspond((places, there), [(places, np.zeros_like(there))])
    np.testing.assert_array_equal(found[..., 2], ~there)
    assert not found[..., 3].any()
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    np.testing.assert_array_equal(found[..., :2], np.stack(np.meshgrid(axis, axis), -1))


def test_an_empty_source_shows_nothing_of_a_head():
    places, there = plane()
    (found,) = correspond((places, np.zeros_like(there)), [(places, there)])
    np.testing.assert_array_equal(found[..., 2], ~there)


def test_made_groups_have_heads_to_find():
    """The heads of tests' groups: shifted by whole pixels, so found exactly."""
    a, b = (seen_places(32, 1, k) for k in (0, 1))
    (found,) = correspond((a[..., :3], a[..., 3] > 0), [(b[..., :3], b[..., 3] > 0)])
    seen = (found[..., 2:] > 0).all(-1)
    far = found[seen, :2] - np.stack(np.nonzero(seen)[::-1], -1) / 32 - 0.5 / 32
    want = (a[0, 0, :2] - b[0, 0, :2]) / -2
    np.testing.assert_allclose(far, np.broadcast_to(want, far.shape), atol=1e-3)
    assert len(far) > 100
