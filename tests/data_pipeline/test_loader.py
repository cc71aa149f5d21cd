"""The loaders of stage 1: what they give, in which order, and from which place."""

import itertools
import json
import shutil

import cv2
import jax
import numpy as np
import pytest

from tests.data_pipeline.made import jpeg, make_clip, make_group, picture, png, with_jaw
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.datasets.read import open_dataset
from vasa_jax.data_pipeline.datasets.write import write_dataset, write_swaps
from vasa_jax.data_pipeline.loader import (
    FaceLoader,
    SwapLoader,
    SwapPairLoader,
    default_workers,
    is_dataset,
)
from vasa_jax.data_pipeline.loading import recipe
from vasa_jax.data_pipeline.loading.pairs import PLAIN, Augment
from vasa_jax.data_pipeline.loading.plan import Plan, spread_out
from vasa_jax.errors import UserError
from vasa_jax.face.batch import FaceBatch
from vasa_jax.training.task import CheckpointableIterator
from vasa_jax.typing import ARKIT

CONFIG = get_config("debug")
SIZE = CONFIG.face.image_size


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Ten clips of seven people; two without labels."""
    people = (0, 0, 0, 1, 1, 2, 3, 4, 5, 6)
    return [make_clip(n, f"person{who}", size=SIZE, labels=n not in (4, 7))
            for n, who in enumerate(people)]  # fmt: skip


@pytest.fixture(scope="module")
def folder(clips, tmp_path_factory):
    return _dataset(clips, tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def swaps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swaps")
    write_swaps(folder, [make_group(n, size=SIZE) for n in range(3)])
    return folder


def _dataset(clips, out, **splits):
    files = []
    for clip in clips:
        files.append(out / "clips" / f"{clip.clip_id.replace('/', '-')}.npz")
        write_clip(files[-1], clip)
    write_dataset(out, "video_folder", {"train": files})
    return out


def _take(loader, count):
    return list(itertools.islice(loader, count))


def _same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
    return jax.tree.structure(a) == jax.tree.structure(b)


def _content(image):
    """A picture that went through JPEG, made comparable."""
    return np.asarray(image * 255, np.int32)


def test_two_runs_give_the_same_batches_and_another_seed_others(folder):
    first, again, other = (
        _take(FaceLoader(folder, CONFIG, 4, seed, workers=0), 6) for seed in (3, 3, 4)
    )
    assert _same(first, again)
    assert not np.array_equal(first[0].source, other[0].source)
    assert not np.array_equal(first[0].source, first[1].source)


def test_a_restored_run_goes_on_as_it_would_have(folder):
    loader = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=2)
    for taken in (0, 1, 3, 4, 9):  # within a block, at its end, over several and over epochs
        state = json.loads(json.dumps(loader.state()))
        wanted = _take(loader, 3)
        resumed = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=2)
        resumed.restore(state)
        assert _same(_take(resumed, 3), wanted), taken
    assert isinstance(loader, CheckpointableIterator)


def test_processes_give_the_same_bytes_and_can_be_resumed(folder):
    """Two processes take the blocks in turns; a resumed run has as many as the saved one."""
    loader = FaceLoader(folder, CONFIG, 4, workers=2, draws=2, spread=1)
    here = _take(FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=1), 8)
    try:
        batches = _take(loader, 3)
        state = json.loads(json.dumps(loader.state()))
        batches += _take(loader, 3)
    finally:
        loader.close()
    # Blocks of two batches: 0, 1 of the first process; 2, 3 of the second; 4, 5 of the first.
    assert _same(batches, [here[k] for k in (0, 2, 1, 3, 4, 6)])
    resumed = FaceLoader(folder, CONFIG, 4, workers=0, draws=2, spread=1)
    resumed.restore(state)
    try:
        assert _same(_take(resumed, 3), batches[3:])
    finally:
        resumed.close()


def test_hosts_see_disjoint_halves(folder, monkeypatch):
    seen = []
    original = recipe.Recipe._record

    def note(self, number):
        seen[-1].add(self._ids[number])
        return original(self, number)

    monkeypatch.setattr(recipe.Recipe, "_record", note)
    names, people = set(open_dataset(folder).splits["train"].ids), []
    for host in range(2):
        seen.append(set())
        loader = FaceLoader(folder, CONFIG, 4, workers=0, process_index=host, process_count=2)
        batches = _take(loader, 16)
        assert batches[0].source.shape[0] == 2
        assert loader.struct.source.shape[0] == 4
        people.append({int(k) for batch in batches for k in batch.identity})
    assert seen[0] | seen[1] == names
    assert not seen[0] & seen[1]
    assert len(seen[0]) == len(seen[1]) == 5
    assert people[0] | people[1] == set(range(7))  # one person has one number on all hosts


def test_plain_pairs_are_frames_of_one_clip_with_their_labels(folder, clips):
    """Every frame's content says which clip and frame it is, so labels can be looked up."""
    loader = FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN)
    known = {(n, k): picture(SIZE, n, k).astype(np.int32)
             for n, clip in enumerate(clips) for k in range(len(clip.frames))}  # fmt: skip
    seen = set()
    for batch in _take(loader, 8):
        for row in range(4):
            places = []
            for side in ("source", "driver"):
                image = _content(getattr(batch, side)[row])
                place = min(known, key=lambda key: np.abs(known[key] - image).mean())
                assert np.abs(known[place] - image).mean() < 6
                places.append(place)
                clip, frame = clips[place[0]], place[1]
                assert int(batch.identity[row]) == int(clip.identity.removeprefix("person"))
                assert batch.pose_present[row] == (clip.rotation is not None)
                assert batch.gaze_present[row] == (clip.gaze is not None)
                pose, gaze = getattr(batch, f"{side}_pose"), getattr(batch, f"{side}_gaze")
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
    loader = FaceLoader(_dataset(labelled, tmp_path), CONFIG, 4, workers=0, augment=PLAIN)
    batch = next(loader)
    by_rotation = {clip.rotation[k].tobytes(): (clip, k)
                   for clip in labelled for k in range(len(clip.frames))}  # fmt: skip
    for row, side in itertools.product(range(4), ("source", "driver")):
        clip, k = by_rotation[getattr(batch, f"{side}_pose").rotation[row].tobytes()]
        np.testing.assert_array_equal(getattr(batch, f"{side}_points")[row], clip.points[k])
        np.testing.assert_array_equal(getattr(batch, f"{side}_arkit")[row], clip.arkit[k])
        mask = getattr(batch, f"{side}_mask")[row]
        np.testing.assert_allclose(mask, (k * 9 % 256) / 255, atol=1e-6)
    assert batch.driver_view is None


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
    assert struct.source_mask is None  # two clips have none
    assert struct.source_points is None
    assert struct.source_pose is not None
    assert struct.driver_view is not None
    bare = FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN).struct
    assert {k for k, v in bare._asdict().items() if v is None} == {
        name
        for name in FaceBatch._fields
        if name.endswith(("view", "mask", "points", "regions", "arkit", "only", "flow"))
    }


def test_a_flipped_pair_is_the_mirrored_plain_one(clips, tmp_path):
    labelled = [clip for clip in clips if clip.points is not None]
    folder = _dataset(labelled, tmp_path)
    plain = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN))
    flipped = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN._replace(flip=1.0)))
    np.testing.assert_array_equal(flipped.driver, plain.driver[:, :, ::-1])
    np.testing.assert_array_equal(flipped.source_mask, plain.source_mask[:, :, ::-1])
    signs = {"rotation": [1, -1, -1], "translation": [-1, 1, 1], "log_scale": [1]}
    for name, sign in signs.items():
        value = getattr(plain.driver_pose, name) * np.float32(sign)
        np.testing.assert_array_equal(getattr(flipped.driver_pose, name), value)
    np.testing.assert_array_equal(flipped.source_gaze, plain.source_gaze * np.float32([-1, 1]))
    np.testing.assert_allclose(flipped.source_points[:, 1, 0], 1 - plain.source_points[:, 0, 0])
    np.testing.assert_array_equal(flipped.source_points[:, 3, 1], plain.source_points[:, 4, 1])


def test_both_frames_of_a_pair_have_the_same_colours_and_the_view_others(folder):
    plain = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN))
    how = Augment(flip=0.0, view_warp=0.0, view_crop=False)
    loaded = next(FaceLoader(folder, CONFIG, 4, workers=0, augment=how))
    for row in range(4):
        fits, errors = [], []
        for side in ("source", "driver"):
            pixels = getattr(plain, side)[row].reshape(-1, 3)
            inside = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
            target = getattr(loaded, side)[row].reshape(-1, 3)
            free = ((target > 0.02) & (target < 0.98)).all(1)
            fits.append(np.linalg.lstsq(inside[free], target[free], rcond=None)[0])
            errors.append(np.abs(inside[free] @ fits[-1] - target[free]).max())
        assert max(errors) < 0.01  # one affine map of colours
        np.testing.assert_allclose(fits[0], fits[1], atol=0.02)
        assert np.abs(loaded.driver_view[row] - loaded.driver[row]).mean() > 0.01


def test_partners_are_other_people(folder):
    """The cross pairs of a batch are made of examples half of it apart."""
    for batch in _take(FaceLoader(folder, CONFIG, 4, workers=0, augment=PLAIN), 12):
        people = batch.identity
        most = np.bincount(people).max()
        assert most > 2 or (people != np.roll(people, len(people) // 2)).all()


@pytest.mark.parametrize("people", [[1, 1, 2, 2], [5, 5, 5, 1, 2, 3], [1, 2, 1, 2, 1, 2], [4] * 4,
                                    [1, 1, 1, 2], [3, 1, 2, 1, 3, 2, 1], [7]])  # fmt: skip
def test_spread_out_is_as_good_as_can_be(people):
    people = np.array(people)
    order = spread_out(people)
    assert sorted(order) == list(range(len(people)))

    def paired(p):
        return int((p == np.roll(p, len(p) // 2)).sum())

    best = min(paired(np.array(p)) for p in itertools.permutations(people))
    assert paired(people[order]) == best


def test_a_plan_visits_every_record_once_an_epoch():
    plan = Plan([0, 1, 2, 3, 4, 5, 6], 2, 9, 0, draws=3, spread=2)
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


def test_swaps_hold_what_they_say(swaps):
    """Contents name identity, pose and dynamics of every picture."""
    groups = [make_group(n, size=SIZE) for n in range(3)]
    known = {(n, *place): picture(SIZE, n, *place).astype(np.int32)
             for n in range(3) for place in np.ndindex(2, 3, 2)}  # fmt: skip
    batch = next(SwapLoader(swaps, CONFIG, 8, workers=0, augment=PLAIN))
    for row in range(8):
        places = {}
        for name in ("source", "driver", "swap", "pose_only", "dyn_only"):
            found = getattr(batch, name)
            image = _content(found.image[row])
            place = min(known, key=lambda key: np.abs(known[key] - image).mean())
            places[name] = place
            n, i, p, d = place
            group = groups[n]
            np.testing.assert_array_equal(found.pose.rotation[row], group.rotation[i, p])
            np.testing.assert_array_equal(found.pose.translation[row], group.translation[i, p])
            np.testing.assert_array_equal(found.points[row], group.points[i, p, d])
            np.testing.assert_array_equal(found.gaze[row], group.gaze[p, d])
            np.testing.assert_array_equal(found.arkit[row], group.arkit[d])
            level = np.ravel_multi_index((i, p, d), (2, 3, 2)) / 255
            np.testing.assert_allclose(found.mask[row], level, atol=1e-6)
        n, a, p1, d1 = places["source"]
        m, b, p2, d2 = places["driver"]
        assert n == m
        assert a != b
        assert p1 != p2
        assert d1 != d2
        assert places["swap"] == (n, a, p2, d2)
        assert places["pose_only"] == (n, a, p2, d1)
        assert places["dyn_only"] == (n, a, p1, d2)
        assert batch.source_identity[row] != batch.driver_identity[row]


def test_swaps_are_resumed_and_mirrored_like_pairs(swaps):
    loader = SwapLoader(swaps, CONFIG, 4, workers=0)
    first = _take(loader, 2)
    state = loader.state()
    wanted = _take(loader, 4)
    resumed = SwapLoader(swaps, CONFIG, 4, workers=0)
    assert _same(_take(resumed, 2), first)
    resumed.restore(state)
    assert _same(_take(resumed, 4), wanted)
    plain = next(SwapLoader(swaps, CONFIG, 4, workers=0, augment=PLAIN))
    flipped = next(SwapLoader(swaps, CONFIG, 4, workers=0, augment=PLAIN._replace(flip=1.0)))
    np.testing.assert_array_equal(flipped.swap.image, plain.swap.image[:, :, ::-1])
    np.testing.assert_array_equal(flipped.swap.arkit[:, 8:10], plain.swap.arkit[:, 9:7:-1])


def test_of_several_pairs_of_expressions_the_one_whose_lips_differ_most_is_taken(tmp_path):
    """As `GroupFiles` takes it: of six unordered pairs one differs by .7."""
    write_swaps(tmp_path, [with_jaw(make_group(0, d=4, size=SIZE), 0, 0.3, 0.35, 0.7)])
    jaw = ARKIT.index("jawOpen")
    for tries in (1, 8):
        how = PLAIN._replace(tries=tries)
        batch = next(SwapLoader(tmp_path, CONFIG, 64, workers=0, augment=how))
        far = np.abs(batch.source.arkit[:, jaw] - batch.driver.arkit[:, jaw]) > 0.6
        np.testing.assert_allclose(np.mean(far), 1 - (5 / 6) ** tries, atol=0.15)


def test_swaps_as_face_batches(swaps):
    """The driver is the true picture; what the motion encoder sees is the other person, or, for
    some, the source's own."""
    loader = SwapPairLoader(swaps, CONFIG, 8, workers=0, augment=PLAIN)
    plain = SwapLoader(swaps, CONFIG, 8, workers=0, augment=PLAIN)
    assert isinstance(loader.struct, FaceBatch)
    own = 0
    for _ in range(3):
        batch, swap = next(loader), next(plain)
        specs = jax.tree.leaves(loader.struct)
        assert jax.tree.structure(batch) == jax.tree.structure(loader.struct)
        for value, spec in zip(jax.tree.leaves(batch), specs, strict=True):
            assert (value.shape, value.dtype) == (spec.shape, spec.dtype)
        np.testing.assert_array_equal(batch.driver, swap.swap.image)
        np.testing.assert_array_equal(batch.pose_only, swap.pose_only.image)
        np.testing.assert_array_equal(batch.driver_pose.rotation, swap.swap.pose.rotation)
        for row in range(8):
            itself = np.array_equal(batch.driver_view[row], swap.swap.image[row])
            assert itself or np.array_equal(batch.driver_view[row], swap.driver.image[row])
            own += itself
    assert 0 < own < 16


def _shrunk(image):
    """The mean of every two by two pixels, by numpy alone."""
    rows, columns, *rest = image.shape
    parts = image.reshape(rows // 2, 2, columns // 2, 2, *rest).astype(float)
    return parts.mean((1, 3))


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
    loader = FaceLoader(_dataset([clip], tmp_path), CONFIG, 4, workers=0, augment=PLAIN)
    batch = next(loader)
    specs = jax.tree.leaves(loader.struct)
    assert [v.shape for v in jax.tree.leaves(batch)] == [spec.shape for spec in specs]
    for row in range(4):
        for image, mask, points in zip(
            (batch.source, batch.driver),
            (batch.source_mask, batch.driver_mask),
            (batch.source_points, batch.driver_points),
            strict=True,
        ):
            number = int(np.abs(spots - points[row, 0]).sum(1).argmin())
            np.testing.assert_allclose(points[row], clip.points[number])
            np.testing.assert_allclose(mask[row, ..., 0], _shrunk(discs[number]), atol=1 / 254)
            stored = cv2.imdecode(np.frombuffer(clip.frames[number], np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_allclose(image[row] * 255, _shrunk(stored[..., ::-1]), atol=0.51)
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
    batch = next(FaceLoader(_dataset([clip], tmp_path), CONFIG, 4, workers=0, augment=how))
    kept = np.abs(batch.driver_view - batch.driver).max(-1) < 1e-6
    assert kept.shape == (4, SIZE, SIZE)
    assert kept[:, 26:40, 26:40].all()
    assert not kept[:, :5].any()


def test_larger_swaps_are_shrunk(tmp_path):
    write_swaps(tmp_path, [make_group(n, size=2 * SIZE) for n in range(2)])
    loader = SwapLoader(tmp_path, CONFIG, 2, workers=0, augment=PLAIN)
    batch = next(loader)
    assert [v.shape for v in jax.tree.leaves(batch)] == [
        spec.shape for spec in jax.tree.leaves(loader.struct)
    ]
    groups = [make_group(n, size=2 * SIZE) for n in range(2)]
    pictures = [np.frombuffer(b, np.uint8) for group in groups for b in group.images]
    stored = [cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1] for content in pictures]
    means = np.stack([_shrunk(image) for image in stored])
    for row in range(2):
        assert np.abs(means - batch.swap.image[row] * 255).max((1, 2, 3)).min() < 0.51


def test_mistakes_are_named(folder, clips, swaps, tmp_path):
    with pytest.raises(UserError, match=r"64 px, config 'base256' wants 256 px or more; make"):
        FaceLoader(folder, get_config("base256"), 4, workers=0)
    with pytest.raises(UserError, match="no split 'val'; it has train"):
        FaceLoader(folder, CONFIG, 4, workers=0, split="val")
    with pytest.raises(UserError, match="10 records for 16 hosts"):
        FaceLoader(folder, CONFIG, 16, workers=0, process_index=0, process_count=16)
    with pytest.raises(UserError, match="cannot be shared by 3"):
        FaceLoader(folder, CONFIG, 4, workers=0, process_index=0, process_count=3)
    with pytest.raises(UserError, match="no dataset of clips"):
        FaceLoader(swaps, CONFIG, 4, workers=0)
    with pytest.raises(UserError, match="no dataset of swaps"):
        SwapLoader(folder, CONFIG, 4, workers=0)
    saved = FaceLoader(folder, CONFIG, 4, workers=0).state()
    for other in (
        FaceLoader(folder, CONFIG, 4, 1, workers=0),
        FaceLoader(folder, CONFIG, 2, workers=0),
    ):
        with pytest.raises(UserError, match="others than when the run was saved"):
            other.restore(saved)
    with pytest.raises(UserError, match="others than when the run was saved"):
        FaceLoader(folder, CONFIG, 4, workers=0).restore({"epoch": 0})
    assert is_dataset(folder)
    assert not is_dataset(tmp_path)
    assert not is_dataset(swaps)
    assert default_workers() >= 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_named(clips, workers, tmp_path):
    bad = clips[0]._replace(clip_id="bad/clip", frames=[b"\xff\xd8 no"] * len(clips[0].frames))
    loader = FaceLoader(_dataset([bad], tmp_path), CONFIG, 2, workers=workers)
    try:
        with pytest.raises(UserError, match=r"record 'bad/clip': a picture is broken"):
            next(loader)
    finally:
        loader.close()


def test_a_shard_that_is_gone_is_named(folder, tmp_path):
    shutil.copytree(folder / "video_folder", tmp_path / "video_folder")
    for shard in tmp_path.rglob("*.array_record*"):
        shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(UserError, match=r"make (it|the dataset) anew"):
        next(FaceLoader(tmp_path, CONFIG, 4, workers=0))


def test_pictures_of_another_size_inside_are_named(clips, tmp_path):
    small = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    bad = clips[0]._replace(frames=[small] * len(clips[0].frames))
    with pytest.raises(UserError, match=f"not {SIZE} x {SIZE}"):
        next(FaceLoader(_dataset([bad], tmp_path), CONFIG, 2, workers=0))
