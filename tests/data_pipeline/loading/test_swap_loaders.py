"""Exact swaps out of a TFDS dataset: what they hold, how they are drawn, resumed and shrunk."""

import cv2
import jax
import numpy as np

from tests.data_pipeline.helpers import make_group, picture, with_jaw
from tests.data_pipeline.loading.helpers import CONFIG, SIZE, content, same, shrunk, take
from vasa_jax.data_pipeline.datasets.write import write_swaps
from vasa_jax.data_pipeline.loading.loaders import (
    SwapLoader,
    SwapPairLoader,
)
from vasa_jax.data_pipeline.loading.pairs import PLAIN
from vasa_jax.face.batch import FaceBatch
from vasa_jax.typing import ARKIT


def test_swaps_hold_what_they_say(swaps):
    """Contents name identity, pose and dynamics of every picture."""
    groups = [make_group(n, size=SIZE) for n in range(3)]
    known = {
        (n, *place): picture(SIZE, n, *place).astype(np.int32)
        for n in range(3)
        for place in np.ndindex(2, 3, 2)
    }
    batch = next(SwapLoader(swaps, CONFIG, 8, workers=0, augment=PLAIN))
    for row in range(8):
        places = {}
        for name in ("source", "driver", "swap", "pose_only", "dyn_only"):
            found = getattr(batch, name)
            image = content(found.image[row])
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
    first = take(loader, 2)
    state = loader.state()
    wanted = take(loader, 4)
    resumed = SwapLoader(swaps, CONFIG, 4, workers=0)
    assert same(take(resumed, 2), first)
    resumed.restore(state)
    assert same(take(resumed, 4), wanted)
    plain = next(SwapLoader(swaps, CONFIG, 4, workers=0, augment=PLAIN))
    flipped = next(SwapLoader(swaps, CONFIG, 4, workers=0, augment=PLAIN._replace(flip=1.0)))
    np.testing.assert_array_equal(flipped.swap.image, plain.swap.image[:, :, ::-1])
    np.testing.assert_array_equal(flipped.swap.arkit[:, 8:10], plain.swap.arkit[:, 9:7:-1])


def test_of_several_pairs_of_expressions_the_one_whose_lips_differ_most_is_taken(tmp_path):
    """As `SwapGroups` takes it: of six unordered pairs one differs by .7."""
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
        np.testing.assert_array_equal(batch.driver.image, swap.swap.image)
        np.testing.assert_array_equal(batch.targets.pose_only, swap.pose_only.image)
        np.testing.assert_array_equal(batch.driver.pose.rotation, swap.swap.pose.rotation)
        for row in range(8):
            itself = np.array_equal(batch.driver.motion_view[row], swap.swap.image[row])
            assert itself or np.array_equal(batch.driver.motion_view[row], swap.driver.image[row])
            own += itself
    assert 0 < own < 16


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
    means = np.stack([shrunk(image) for image in stored])
    for row in range(2):
        assert np.abs(means - batch.swap.image[row] * 255).max((1, 2, 3)).min() < 0.51
