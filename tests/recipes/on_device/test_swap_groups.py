"""Batches of swaps that the device makes against those of the host's loader, draw for draw."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recipes.demo.on_device.filling import to_arrays
from recipes.demo.on_device.pool import group_struct
from recipes.demo.on_device.swap_groups import sample_augmentations, sample_swaps, transfers_of
from tests.data_pipeline.helpers import make_group
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.batches import swap_batch
from vasa_jax.data_pipeline.loading.image_codec import shrink
from vasa_jax.data_pipeline.loading.pairs import PLAIN, Augment
from vasa_jax.data_pipeline.loading.swap_groups import SwapGroups
from vasa_jax.data_pipeline.loading.transfer_examples import (
    PICTURES,
    augmented_transfer,
    encoded_transfer,
)
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.extensions.transfer_targets import from_swaps
from vasa_jax.training.face_batches import named

SIZE, PLACES, BATCH = 64, 32, 6
GROUPS = [make_group(n, size=SIZE, places=PLACES) for n in range(3)]
EVERY = Augment(flip=0.5, own=0.5, views=("source", "driver", "swap"))
HOWS = {
    "plain": PLAIN._replace(own=0.5),
    "mirrored": PLAIN._replace(flip=1.0, own=0.5),
    "usual": Augment(flip=0.5, own=0.5),
    "every view": EVERY,
    "no warp": Augment(flip=0.5, own=0.5, view_warp=0.0, view_colours=None),
    "no box": Augment(flip=0.5, own=0.5, view_crop=False, colours=None),
}


@pytest.fixture(scope="module")
def pool():
    return jax.device_put(to_arrays(GROUPS, 4, np.random.default_rng(0)))


def on_the_host(pool, group, number, draws, size, how):
    """What `SwapGroups` makes of the same swaps and draws."""
    people = {name: n for n, name in enumerate(sorted(x for g in GROUPS for x in g.identity))}
    rows = []
    for k in range(len(group)):
        swap = [int(x) for x in pool.swaps[group[k], number[k]]]
        raw = encoded_transfer(GROUPS[int(group[k])], people, swap)
        one = jax.tree.map(lambda x, k=k: np.asarray(x[k]), draws)
        quad = augmented_transfer(raw, SIZE, how, one, True, True, SIZE)
        if size < SIZE:
            for name in ("source", "driver", "swap"):
                quad.setdefault(f"{name}_view", quad[name])
            for name in (*PICTURES, *(f"{name}_mask" for name in PICTURES)):
                quad[name] = shrink(quad[name], size)
        rows.append(quad)
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    arrays = {k: v / np.float32(255) if v.dtype == np.uint8 else v for k, v in arrays.items()}
    return from_swaps(swap_batch(arrays), arrays["own"])


@pytest.mark.parametrize("size", [SIZE, SIZE // 2])
@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
def test_batches_equal_the_loaders(pool, how, size):
    group, number = jnp.array([0, 1, 2, 2, 1, 0]), jnp.array([0, 3, 1, 2, 1, 3])
    draws = sample_augmentations(jax.random.key(5), how, BATCH)
    assert set(np.asarray(draws.own)) == {True, False}
    found = jax.jit(transfers_of, static_argnums=(4, 5))(pool, group, number, draws, size, how)
    wanted = on_the_host(pool, group, number, draws, size, how)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    pairs = zip(named(found).items(), named(wanted).values(), strict=True)
    for (name, one), other in pairs:
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name
            off = np.abs(np.asarray(a, np.float64) - b)
            if name.endswith("_view"):  # OpenCV rounds to bytes thrice, and positions
                assert off.max() < 0.03, (name, off.max())
                assert off.mean() < 0.002, (name, off.mean())
            elif name.endswith("_flow"):  # in float16; mirrored, other neighbours may be as near
                assert (off > 5e-4).mean() < 0.002, name
                np.testing.assert_array_equal(a[..., 2:], b[..., 2:], name)
                assert (a[..., 2:] == 1).all(-1).sum() > 100, name
            elif name in (
                "source",
                "driver",
                "pose_only",
                "dyn_only",
                "source_mask",
                "driver_mask",
            ):
                assert off.max() <= 2.01 / 255, (name, off.max())
            else:
                np.testing.assert_allclose(a, b, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("size", [SIZE, SIZE // 2])
@pytest.mark.parametrize("how", [Augment(), PLAIN, EVERY], ids=["usual", "plain", "every"])
def test_batches_have_the_loaders_struct(pool, tmp_path, how, size):
    for number, group in enumerate(GROUPS):
        write_group(tmp_path / f"{number}.npz", group)
    config = get_config("debug", ["train_face.batch=4"])
    losses = dataclasses.replace(
        config.face_losses,
        transfer=dataclasses.replace(config.face_losses.transfer, flow=1.0),
    )
    face = dataclasses.replace(config.face, image_size=size)
    config = dataclasses.replace(config, face=face, face_losses=losses)
    wanted = SwapGroups(tmp_path, config, augment=how, threads=1).struct
    sample = lambda pool, count, key: sample_swaps(pool, count, key, 4, size, how)  # noqa: E731
    found = jax.eval_shape(sample, pool, jnp.int32(3), jax.random.key(0))
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    shapes = lambda tree: jax.tree.map(lambda s: (s.shape, s.dtype), tree)  # noqa: E731
    assert shapes(found) == shapes(wanted)


def test_draws_are_the_keys_and_only_filled_groups_are_drawn(pool):
    sample = jax.jit(lambda count, key, of=pool: sample_swaps(of, count, key, 150, 32, PLAIN))
    first, again, other = (sample(jnp.int32(2), jax.random.key(k)) for k in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first.source.image, other.source.image)
    people, pool = np.asarray(pool.people), jax.tree.map(np.asarray, pool)
    assert set(np.asarray(first.identity)) == set(people[:2].ravel())
    assert set(np.asarray(sample(jnp.int32(1), jax.random.key(0)).identity)) == set(people[0])
    every = sample(jnp.int32(3), jax.random.key(0))  # the same program
    assert set(np.asarray(every.identity)) == set(people.ravel())
    assert sample._cache_size() == 1
    # Any of the stored swaps: what batches tell of source and target tells them apart.
    stored = {
        (pool.people[g, a], *pool.rotation[g, a, (p1, p2), 0].tolist(), *pool.arkit[g, (d1, d2), 0])
        for g, swaps in enumerate(np.asarray(pool.swaps))
        for a, _, p1, p2, d1, d2 in swaps
    }
    drawn = zip(
        every.identity,
        every.source.pose.rotation[:, 0],
        every.driver.pose.rotation[:, 0],
        every.source.arkit[:, 0],
        every.driver.arkit[:, 0],
        strict=True,
    )
    number = lambda rows: {tuple(float(x) for x in row) for row in rows}  # noqa: E731
    assert number(drawn) == number(stored)
    assert len(stored) > 9


def test_draws_have_the_asked_chances():
    how = Augment(flip=0.3, own=0.6)
    draws = sample_augmentations(jax.random.key(2), how, 4000)
    np.testing.assert_allclose(draws.flip.mean(), 0.3, atol=0.03)
    np.testing.assert_allclose(draws.own.mean(), 0.6, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(draws.flip, draws.own)[0, 1], 0, atol=0.05)
    view = draws.views["driver"]
    assert list(draws.views) == ["driver"]
    assert (view.shift.min(), view.shift.max()) == pytest.approx((-0.05, 0.05), abs=1e-3)
    assert (view.grow.min(), view.grow.max()) == pytest.approx((1.0, 1.25), abs=1e-3)
    assert (view.fill.min(), view.fill.max()) == pytest.approx((0, 255), abs=1)


def test_a_full_batch_has_its_shapes():
    """Of 512 px pictures shrunk to 256, as a run on a device asks."""
    sample = lambda pool, count, key: sample_swaps(pool, count, key, 32, 256, Augment())  # noqa: E731
    pool = group_struct(1000, 512, 16)
    batch = jax.eval_shape(sample, pool, jnp.int32(0), jax.random.key(0))
    assert batch.source.image.shape == (32, 256, 256, 3)
    assert batch.driver.motion_view.shape == batch.source.motion_view.shape == (32, 512, 512, 3)
    assert batch.driver.mask.shape == (32, 256, 256, 1)
    assert batch.targets.driver_flow.shape == (32, 128, 128, 4)
