"""Groups of swaps as arrays of a pool."""

import numpy as np
import pytest

from recipes.demo.on_device.filling import rows_of, to_arrays
from recipes.demo.on_device.pool import group_struct
from tests.data_pipeline.helpers import make_group, with_jaw
from vasa_jax.data_pipeline.loading.correspondence import correspond, decode_places
from vasa_jax.data_pipeline.loading.image_codec import decode_grey, decode_rgb
from vasa_jax.data_pipeline.loading.pairs import PLAIN
from vasa_jax.data_pipeline.loading.transfer_examples import sample_transfer
from vasa_jax.errors import UserError
from vasa_jax.lips import lips_apart

SIZE, PLACES = 32, 16


def test_rows_are_the_groups_own():
    """Every picture and label is where the indices say, and flows are those of the loader."""
    group = make_group(1, i=2, p=3, d=2, size=SIZE, places=PLACES)
    # Few enough poses that many swaps share a source, whose tree is then used more than once.
    rows = rows_of(group, (7, 5), 9, np.random.default_rng(0))
    assert len({tuple(s[[0, 2, 4]]) for s in rows.swaps}) < 9
    want = group_struct(1, SIZE, 9, people=2, poses=3, expressions=2, flow_size=PLACES)
    for name, array, struct in zip(rows._fields, rows, want, strict=True):
        assert (array.shape, array.dtype) == (struct.shape[1:], struct.dtype), name
    for k, place in enumerate(np.ndindex(*group.counts())):
        np.testing.assert_array_equal(rows.images[place], decode_rgb(group.images[k], SIZE))
        np.testing.assert_array_equal(rows.masks[place], decode_grey(group.masks[k], SIZE)[..., 0])
    np.testing.assert_array_equal(rows.points, group.points)
    assert rows.people.tolist() == [7, 5]
    places = lambda *k: decode_places(group.places[np.ravel_multi_index(k, group.counts())])  # noqa: E731
    for swap, flow, seen in zip(rows.swaps, rows.flow, rows.seen, strict=True):
        a, b, p1, p2, d1, d2 = swap
        assert all(first != second for first, second in ((a, b), (p1, p2), (d1, d2)))
        targets = [places(a, p2, d2), places(a, p2, d1), places(a, p1, d2)]
        for k, found in enumerate(correspond(places(a, p1, d1), targets)):
            np.testing.assert_allclose(flow[k], found[..., :2], atol=5e-4)  # shares in float16
            np.testing.assert_array_equal(seen[k] & 1, found[..., 2])
            np.testing.assert_array_equal(seen[k] >> 1, found[..., 3])
    assert (rows.seen == 3).sum() > 100


@pytest.mark.parametrize("tries", [1, 3])
def test_swaps_are_those_that_a_loader_draws(tries):
    group = with_jaw(make_group(0, d=4, size=SIZE, places=PLACES), 0, 0.3, 0.35, 0.7)
    people = dict(zip(group.identity, (0, 1), strict=True))
    chosen = rows_of(group, (0, 1), 60, np.random.default_rng(3), tries).swaps
    rng = np.random.default_rng(3)
    for a, b, p1, p2, d1, d2 in chosen:
        raw = sample_transfer(group, people, rng, PLAIN._replace(tries=tries))
        assert raw.identity == (a, b)
        shown = [(a, p1, d1), (b, p2, d2), (a, p2, d2), (a, p2, d1), (a, p1, d2)]
        for picture, place in zip(raw.images, shown, strict=True):
            assert picture.image == group.images[np.ravel_multi_index(place, group.counts())]
    lips = lips_apart(group.arkit)[chosen[:, 4:]]
    far = np.abs(lips[:, 0] - lips[:, 1]) > 0.6
    np.testing.assert_allclose(far.mean(), 1 - (5 / 6) ** tries, atol=0.15)


def test_a_pool_numbers_its_people_and_refuses_what_does_not_fit():
    groups = [make_group(n, size=SIZE, places=PLACES) for n in (3, 1)]
    pool = to_arrays(groups, 2, np.random.default_rng(0))
    assert pool.people.tolist() == [[2, 3], [0, 1]]
    assert pool.images.shape == (2, 2, 3, 2, SIZE, SIZE, 3)
    with pytest.raises(UserError, match="group4: a group without points, arkit, gaze, masks, pla"):
        to_arrays([make_group(4, labels=False)], 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="3 numbers for 2 people"):
        rows_of(groups[0], (1, 2, 3), 2, np.random.default_rng(0))
