"""Exact swaps straight from group files, without grain or TFDS."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.data_pipeline.helpers import make_group, with_jaw
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.correspondence import correspond, decode_places
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.data_pipeline.loading.pairs import PLAIN
from vasa_jax.data_pipeline.loading.swap_groups import SwapGroups
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.errors import UserError
from vasa_jax.lips import lips_apart
from vasa_jax.typing import ARKIT

SIZE = 64


def config(pixels=SIZE):
    whole = get_config("debug", ["train_face.batch=4"])
    return dataclasses.replace(whole, face=dataclasses.replace(whole.face, image_size=pixels))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("groups")
    for number in range(6):
        write_group(out / f"part{number % 2}" / f"{number}.npz", make_group(number, size=SIZE))
    return out


def same(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("own", [False, True])
def test_the_pictures_are_the_groups_own(folder, own):
    """Without augmentation every picture is one of the files', and its labels belong to it.

    own: whether the motion is read from the source's own person.
    """
    known = {}
    for number in range(6):
        group = make_group(number, size=SIZE)
        for k, (i, p, d) in enumerate(np.ndindex(*group.counts())):
            known[decode_rgb(group.images[k], SIZE).tobytes()] = (number, i, p, d, group)
    loader = SwapGroups(folder, config(), augment=PLAIN._replace(own=float(own)), threads=2)
    places = lambda x: known[np.round(x * 255).astype(np.uint8).tobytes()]  # noqa: E731
    seen = set()
    for _ in range(3):  # 12 examples: every group twice
        batch = next(loader)
        assert jax.tree.map(np.shape, batch) == jax.tree.map(lambda s: s.shape, loader.struct)
        for row in range(4):
            number, a, p1, d1, group = places(batch.source.image[row])
            seen.add(number)
            other, a2, p2, d2, _ = places(batch.driver.image[row])
            assert (other, a2) == (number, a)
            assert p1 != p2
            assert d1 != d2
            assert places(batch.targets.pose_only[row])[:4] == (number, a, p2, d1)
            assert places(batch.targets.dyn_only[row])[:4] == (number, a, p1, d2)
            view = places(batch.driver.motion_view[row])  # either person, the driver's motion
            assert (view[0], *view[2:4]) == (number, p2, d2)
            assert (view[1] == a) == own
            np.testing.assert_array_equal(batch.driver.pose.rotation[row], group.rotation[a, p2])
            np.testing.assert_array_equal(batch.driver.arkit[row], group.arkit[d2])
            np.testing.assert_array_equal(batch.source.gaze[row], group.gaze[p1, d1])
    assert seen == set(range(6))


def test_two_runs_and_a_resumed_one_give_the_same_batches(folder):
    first, second, third = (SwapGroups(folder, config(), seed=3, threads=t) for t in (1, 2, 2))
    runs = [[next(loader) for _ in range(4)] for loader in (first, second)]
    assert all(same(a, b) for a, b in zip(*runs, strict=True))
    assert not same(runs[0][0], runs[0][1])
    places = SwapGroups(folder, config(), seed=3)
    next(places)
    third.restore(places.state())
    assert same(next(third), runs[0][1])
    assert not same(next(SwapGroups(folder, config(), seed=4)), runs[0][0])


def test_small_pictures_keep_large_views(folder):
    """Training at half the size: what is drawn shrinks, what the motion encoder sees does not."""
    batch = next(SwapGroups(folder, config(32), augment=PLAIN))
    large = next(SwapGroups(folder, config(), augment=PLAIN))
    assert batch.source.image.shape == batch.targets.dyn_only.shape == (4, 32, 32, 3)
    assert batch.source.motion_view.shape == batch.driver.motion_view.shape == (4, SIZE, SIZE, 3)
    np.testing.assert_array_equal(batch.source.motion_view, large.source.image)
    mean = large.source.image.reshape(4, 32, 2, 32, 2, 3).mean((2, 4))
    np.testing.assert_allclose(batch.source.image, mean, atol=1 / 255)
    np.testing.assert_array_equal(batch.source.points, large.source.points)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_flows_say_where_the_sources_pixels_are(tmp_path, flip):
    """Places of the files, whichever groups have them, mirrored with their pictures."""
    for number in range(4):
        group = make_group(number, size=SIZE, places=32 if number % 2 else 0)
        write_group(tmp_path / f"{number}.npz", group)
    asked = dataclasses.replace(
        config(),
        face_losses=get_config(
            "debug", ["face_losses.transfer.flow=1", "face.image_size=64"]
        ).face_losses,
    )
    loader = SwapGroups(tmp_path, asked, augment=PLAIN._replace(flip=flip), threads=2)
    batch = next(loader)
    assert jax.tree.map(np.shape, batch) == jax.tree.map(lambda s: s.shape, loader.struct)
    groups = {n: make_group(n, size=SIZE, places=32) for n in (1, 3)}
    known = {}
    for n, group in groups.items():
        for k, place in enumerate(np.ndindex(*group.counts())):
            image = decode_rgb(group.images[k], SIZE)
            known[(image[:, ::-1] if flip else image).tobytes()] = (n, place)
    where = lambda x: known[np.round(x * 255).astype(np.uint8).tobytes()]  # noqa: E731

    def places(key):
        group = groups[key[0]]
        number = int(np.ravel_multi_index(key[1], group.counts()))
        found = decode_places(group.places[number])
        return tuple(x[:, ::-1] for x in found) if flip else found

    for row in range(4):
        source = places(where(batch.source.image[row]))
        for name in ("pose_only", "dyn_only"):
            (want,) = correspond(source, [places(where(getattr(batch.targets, name)[row]))])
            np.testing.assert_array_equal(getattr(batch.targets, f"{name}_flow")[row], want)
            assert (want[..., 2:] > 0).all(-1).sum() > 50
    assert next(SwapGroups(tmp_path, config())).targets.driver_flow is None
    (tmp_path / "1.npz").unlink()
    (tmp_path / "3.npz").unlink()
    with pytest.raises(UserError, match="none of its groups tells"):
        SwapGroups(tmp_path, asked)


def test_what_does_not_fit_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="holds no groups"):
        SwapGroups(tmp_path, config())
    loader = SwapGroups(folder, config())
    with pytest.raises(UserError, match="saved with 5 groups"):
        loader.restore({"next": 8, "groups": 5, "seed": 0})
    write_group(tmp_path / "1.npz", make_group(1, size=32))
    with pytest.raises(UserError, match="wants 64 px"):
        SwapGroups(tmp_path, config())
    write_group(tmp_path / "0.npz", make_group(0, size=SIZE))
    with pytest.raises(UserError, match="differ in size"):
        SwapGroups(tmp_path, config())


def test_lips_are_parted_by_the_jaw_the_upper_and_the_lower_lip():
    arkit = with_jaw(make_group(0, d=4), 0, 0.5, 0.5, 0.2).arkit
    arkit[:2, ARKIT.index("mouthClose")] = 0.1, 0
    arkit[2, ARKIT.index("mouthClose")] = 0.4
    for name in ("UpperUpLeft", "UpperUpRight", "LowerDownLeft", "LowerDownRight"):
        arkit[3, ARKIT.index(f"mouth{name}")] = 0.3
    np.testing.assert_allclose(lips_apart(arkit), [0, 0.5, 0.1, 0.5], atol=1e-6)


@pytest.mark.parametrize("tries", [1, 3])
def test_of_several_pairs_the_one_whose_lips_differ_most_is_taken(tmp_path, tries):
    """Of six unordered pairs one differs by .7: a draw in six finds it, three with 1 - (5/6)^3."""
    write_group(tmp_path / "0.npz", with_jaw(make_group(0, d=4, size=SIZE), 0, 0.3, 0.35, 0.7))
    loader = SwapGroups(tmp_path, config(), 200, augment=PLAIN._replace(tries=tries))
    batch, jaw = next(loader), ARKIT.index("jawOpen")
    far = np.abs(batch.driver.arkit[:, jaw] - batch.source.arkit[:, jaw]) > 0.6
    np.testing.assert_allclose(np.mean(far), 1 - (5 / 6) ** tries, atol=0.1)
