"""The loaders of stage 1: what they give, in which order, and from which place."""

import itertools
import json

import cv2
import jax
import numpy as np
import pytest

from tests.data_pipeline.helpers import jpeg, make_clip, picture, png
from tests.data_pipeline.loading.helpers import (
    CONFIG,
    SIZE,
    content,
    dataset_of,
    same,
    shrunk,
    take,
)
from vasa_jax.data_pipeline.datasets.read import open_dataset
from vasa_jax.data_pipeline.loading import transforms
from vasa_jax.data_pipeline.loading.loaders import (
    FaceLoader,
    SwapLoader,
)
from vasa_jax.data_pipeline.loading.pairs import PLAIN, Augment
from vasa_jax.data_pipeline.loading.record_order import RecordOrder, separate_identities
from vasa_jax.training.face_batches import FIELDS, named
from vasa_jax.training.trainer import CheckpointableIterator


def test_two_runs_give_the_same_batches_and_another_seed_others(folder):
    first, again, other = (
        take(FaceLoader(folder, CONFIG, 4, seed, workers=0), 6) for seed in (3, 3, 4)
    )
    assert same(first, again)
    assert not np.array_equal(first[0].source.image, other[0].source.image)
    assert not np.array_equal(first[0].source.image, first[1].source.image)


def test_a_restored_run_goes_on_as_it_would_have(folder):
    loader = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=2)
    for taken in (0, 1, 3, 4, 9):  # within a block, at its end, over several and over epochs
        state = json.loads(json.dumps(loader.state()))
        wanted = take(loader, 3)
        resumed = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=2)
        resumed.restore(state)
        assert same(take(resumed, 3), wanted), taken
    assert isinstance(loader, CheckpointableIterator)


def test_processes_give_the_same_bytes_and_can_be_resumed(folder):
    """Two processes take the blocks in turns; a resumed run has as many as the saved one."""
    loader = FaceLoader(folder, CONFIG, 4, workers=2, draws=2, spread=1)
    here = take(FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=1), 8)
    try:
        batches = take(loader, 3)
        state = json.loads(json.dumps(loader.state()))
        batches += take(loader, 3)
    finally:
        loader.close()
    # Blocks of two batches: 0, 1 of the first process; 2, 3 of the second; 4, 5 of the first.
    assert same(batches, [here[k] for k in (0, 2, 1, 3, 4, 6)])
    resumed = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=1)
    resumed.restore(state)
    try:
        assert same(take(resumed, 3), batches[3:])
    finally:
        resumed.close()


def joined(*rows):
    """The global batch of all hosts' rows."""
    return jax.tree.map(lambda *x: np.concatenate(x), *rows)


def test_hosts_make_the_rows_of_the_same_batches(folder, monkeypatch):
    """However many there are; in an epoch, no two of them read one record."""
    seen, original = [], transforms.ExampleTransform._record

    def note(self, number):
        seen[-1].append(self._ids[number])
        return original(self, number)

    monkeypatch.setattr(transforms.ExampleTransform, "_record", note)
    names, wanted = set(open_dataset(folder).splits["train"].ids), None
    for hosts in (1, 2, 4):
        parts, states = [], []
        for host in range(hosts):
            seen.append([])
            place = {"process_index": host, "process_count": hosts}
            # Five batches of four: two epochs of ten records.
            loader = FaceLoader(folder, CONFIG, 4, workers=0, draws=1, spread=1, **place)
            parts.append(take(loader, 5))
            states.append(loader.state())
            assert parts[-1][0].source.image.shape[0] == 4 // hosts
            assert loader.struct.source.image.shape[0] == 4
        batches = [joined(*rows) for rows in zip(*parts, strict=True)]
        wanted = batches if wanted is None else wanted
        assert same(batches, wanted), hosts
        assert all(state == states[0] for state in states)
        read = [name for names_of_host in seen[-hosts:] for name in names_of_host]
        assert len(read) == 20
        assert set(read) == names
    assert {int(k) for batch in wanted for k in batch.identity} == set(range(7))


def test_a_run_goes_on_with_other_hosts(folder):
    one = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=2)
    take(one, 3)
    state = json.loads(json.dumps(one.state()))
    wanted = take(one, 4)
    parts = []
    for host in range(2):
        place = {"process_index": host, "process_count": 2}
        loader = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=2, **place)
        loader.restore(state)
        parts.append(take(loader, 4))
    found = [joined(*rows) for rows in zip(*parts, strict=True)]
    assert same(found, wanted)


def test_plain_pairs_are_frames_of_one_clip_with_their_labels(folder, clips):
    """Every frame's content says which clip and frame it is, so labels can be looked up."""
    loader = FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN)
    known = {
        (n, k): picture(SIZE, n, k).astype(np.int32)
        for n, clip in enumerate(clips)
        for k in range(len(clip.frames))
    }
    seen = set()
    for batch in take(loader, 8):
        for row in range(4):
            places = []
            for side in ("source", "driver"):
                image = content(getattr(batch, side).image[row])
                place = min(known, key=lambda key: np.abs(known[key] - image).mean())
                assert np.abs(known[place] - image).mean() < 6
                places.append(place)
                clip, frame = clips[place[0]], place[1]
                assert int(batch.identity[row]) == int(clip.identity.removeprefix("person"))
                assert batch.pose_present[row] == (clip.rotation is not None)
                assert batch.gaze_present[row] == (clip.gaze is not None)
                pose, gaze = getattr(batch, side).pose, getattr(batch, side).gaze
                if clip.rotation is None:
                    assert not pose.rotation[row].any()
                    continue
                np.testing.assert_array_equal(pose.rotation[row], clip.rotation[frame])
                np.testing.assert_array_equal(pose.translation[row], clip.translation[frame])
                np.testing.assert_array_equal(pose.log_scale[row], clip.log_scale[frame])
                np.testing.assert_array_equal(gaze[row], clip.gaze[frame])
            assert places[0][0] == places[1][0]
            assert places[0] != places[1]
            seen.add(places[0][0])
    assert seen == set(range(10))


def test_every_label_arrives_where_all_clips_have_it(clips, tmp_path):
    labelled = [clip for clip in clips if clip.points is not None]
    loader = FaceLoader(dataset_of(labelled, tmp_path), CONFIG, 4, workers=0, augment=PLAIN)
    batch = next(loader)
    by_rotation = {
        clip.rotation[k].tobytes(): (clip, k) for clip in labelled for k in range(len(clip.frames))
    }
    for row, side in itertools.product(range(4), ("source", "driver")):
        clip, k = by_rotation[getattr(batch, side).pose.rotation[row].tobytes()]
        np.testing.assert_array_equal(getattr(batch, side).points[row], clip.points[k])
        np.testing.assert_array_equal(getattr(batch, side).arkit[row], clip.arkit[k])
        mask = getattr(batch, side).mask[row]
        np.testing.assert_allclose(mask, (k * 9 % 256) / 255, atol=1e-6)
    assert batch.driver.motion_view is None


def test_a_batch_is_what_its_struct_says(folder, swaps):
    for loader in (
        FaceLoader(folder, CONFIG, 4, workers=0),
        SwapLoader(swaps, CONFIG, 4, workers=0),
    ):
        batch = next(loader)
        assert jax.tree.structure(batch) == jax.tree.structure(loader.struct)
        for value, spec in zip(jax.tree.leaves(batch), jax.tree.leaves(loader.struct), strict=True):
            assert (value.shape, value.dtype) == (spec.shape, spec.dtype)
            assert np.isfinite(value).all()
    struct = FaceLoader(folder, CONFIG, 4, workers=0).struct
    assert struct.source.mask is None  # two clips have none
    assert struct.source.points is None
    assert struct.source.pose is not None
    assert struct.driver.motion_view is not None
    bare = FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN).struct
    assert {k for k, v in named(bare).items() if v is None} == {
        name
        for name in FIELDS
        if name.endswith(("view", "mask", "points", "regions", "arkit", "only", "flow"))
    }


def test_a_flipped_pair_is_the_mirrored_plain_one(clips, tmp_path):
    labelled = [clip for clip in clips if clip.points is not None]
    folder = dataset_of(labelled, tmp_path)
    plain = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN))
    flipped = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN._replace(flip=1.0)))
    np.testing.assert_array_equal(flipped.driver.image, plain.driver.image[:, :, ::-1])
    np.testing.assert_array_equal(flipped.source.mask, plain.source.mask[:, :, ::-1])
    signs = {"rotation": [1, -1, -1], "translation": [-1, 1, 1], "log_scale": [1]}
    for name, sign in signs.items():
        value = getattr(plain.driver.pose, name) * np.float32(sign)
        np.testing.assert_array_equal(getattr(flipped.driver.pose, name), value)
    np.testing.assert_array_equal(flipped.source.gaze, plain.source.gaze * np.float32([-1, 1]))
    np.testing.assert_allclose(flipped.source.points[:, 1, 0], 1 - plain.source.points[:, 0, 0])
    np.testing.assert_array_equal(flipped.source.points[:, 3, 1], plain.source.points[:, 4, 1])


def test_both_frames_of_a_pair_have_the_same_colours_and_the_view_others(folder):
    plain = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN))
    how = Augment(flip=0.0, view_warp=0.0, view_crop=False)
    loaded = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=how))
    for row in range(4):
        fits, errors = [], []
        for side in ("source", "driver"):
            pixels = getattr(plain, side).image[row].reshape(-1, 3)
            inside = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
            target = getattr(loaded, side).image[row].reshape(-1, 3)
            free = ((target > 0.02) & (target < 0.98)).all(1)
            fits.append(np.linalg.lstsq(inside[free], target[free], rcond=None)[0])
            errors.append(np.abs(inside[free] @ fits[-1] - target[free]).max())
        assert max(errors) < 0.01  # one affine map of colours
        np.testing.assert_allclose(fits[0], fits[1], atol=0.02)
        assert np.abs(loaded.driver.motion_view[row] - loaded.driver.image[row]).mean() > 0.01


def test_partners_are_other_people(folder):
    """The cross pairs of a batch are made of examples half of it apart."""
    for batch in take(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN), 12):
        people = batch.identity
        most = np.bincount(people).max()
        assert most > 2 or (people != np.roll(people, len(people) // 2)).all()


@pytest.mark.parametrize(
    "people",
    [
        [1, 1, 2, 2],
        [5, 5, 5, 1, 2, 3],
        [1, 2, 1, 2, 1, 2],
        [4] * 4,
        [1, 1, 1, 2],
        [3, 1, 2, 1, 3, 2, 1],
        [7],
    ],
)
def test_spread_out_is_as_good_as_can_be(people):
    people = np.array(people)
    order = separate_identities(people)
    assert sorted(order) == list(range(len(people)))

    def paired(p):
        return int((p == np.roll(p, len(p) // 2)).sum())

    best = min(paired(np.array(p)) for p in itertools.permutations(people))
    assert paired(people[order]) == best


def test_a_plan_visits_every_record_once_an_epoch():
    plan = RecordOrder([0, 1, 2, 3, 4, 5, 6], 2, 9, draws=3, spread=2)
    visits = np.concatenate([plan.records(block) for block in range(7)])
    for epoch in range(4):
        assert sorted(visits[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert not np.array_equal(visits[:7], visits[7:14])
    for block in range(3):
        batches = plan.batches(block)
        assert len(batches) == 6
        assert all(len({visit for visit, _ in batch}) == len(batch) == 2 for batch in batches)
        places = [place for batch in batches for place in batch]
        assert sorted(places) == [(v, d) for v in range(4) for d in range(3)]


def test_larger_pictures_are_shrunk_with_their_masks(tmp_path):
    """By the mean of the area, and what is told in shares of the picture stays true."""
    large = 2 * SIZE
    y, x = np.mgrid[:large, :large]
    clip = make_clip(0, "ann", 2, size=large)
    spots = np.array([[0.3, 0.4], [0.7, 0.6]])
    discs = [np.hypot(x + 0.5 - u * large, y + 0.5 - v * large) < 17.3 for u, v in spots]
    clip = clip._replace(
        frames=[jpeg(np.where(disc[..., None], 230, 20).astype(np.uint8)) for disc in discs],
        masks=[png(np.where(disc, 255, 0).astype(np.uint8)) for disc in discs],
        points=np.repeat(spots[:, None], 5, 1).astype(np.float32),
    )
    loader = FaceLoader(dataset_of([clip], tmp_path), CONFIG, 4, workers=0, augment=PLAIN)
    batch = next(loader)
    specs = jax.tree.leaves(loader.struct)
    assert [v.shape for v in jax.tree.leaves(batch)] == [spec.shape for spec in specs]
    for row in range(4):
        for image, mask, points in zip(
            (batch.source.image, batch.driver.image),
            (batch.source.mask, batch.driver.mask),
            (batch.source.points, batch.driver.points),
            strict=True,
        ):
            number = int(np.abs(spots - points[row, 0]).sum(1).argmin())
            np.testing.assert_allclose(points[row], clip.points[number])
            np.testing.assert_allclose(mask[row, ..., 0], shrunk(discs[number]), atol=1 / 254)
            stored = cv2.imdecode(np.frombuffer(clip.frames[number], np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_allclose(image[row] * 255, shrunk(stored[..., ::-1]), atol=0.51)
            rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
            weight = mask[row, ..., 0] / mask[row].sum()
            found = (columns * weight).sum() / SIZE, (rows * weight).sum() / SIZE
            np.testing.assert_allclose(found, points[row, 0], atol=0.002)


def test_views_and_boxes_go_with_shrunk_pictures(tmp_path):
    """A view that is cut to the face keeps what lies in the box that the points tell."""
    clip = make_clip(0, "ann", 6, size=160)  # 2.5 times as large
    face = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]], np.float32)
    clip = clip._replace(points=np.repeat(face[None], 6, 0))
    how = PLAIN._replace(views=("driver",), view_colours=None, view_warp=0.0)
    batch = next(FaceLoader(dataset_of([clip], tmp_path), CONFIG, 4, workers=0, augment=how))
    kept = np.abs(batch.driver.motion_view - batch.driver.image).max(-1) < 1e-6
    assert kept.shape == (4, SIZE, SIZE)
    assert kept[:, 26:40, 26:40].all()
    assert not kept[:, :5].any()
