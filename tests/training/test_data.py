"""Iterators of batches: deterministic, checkpointable, strict about what they read."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.errors import UserError
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.npz_data import NpzShards, available


class Inner(NamedTuple):
    angle: object


class Struct(NamedTuple):
    image: object
    number: object
    inner: object = None


def struct(batch=4):
    spec = jax.ShapeDtypeStruct
    return Struct(
        spec((batch, 2, 3), jnp.float32),
        spec((batch,), jnp.int32),
        Inner(spec((batch, 1), jnp.float32)),
    )


def test_fake_batches_depend_on_seed_and_place_alone():
    data = FakeBatches(struct())
    first, second, third = next(data), next(data), next(data)
    again = FakeBatches(struct())
    again.restore({"index": 1})
    jax.tree.map(np.testing.assert_array_equal, next(again), second)
    assert again.state() == {"index": 2}
    jax.tree.map(np.testing.assert_array_equal, next(again), third)
    assert not np.array_equal(first.image, second.image)
    assert not np.array_equal(next(FakeBatches(struct(), seed=1)).image, first.image)
    same = FakeBatches(struct(), repeat=True)
    next(same)
    np.testing.assert_array_equal(next(same).image, first.image)


@pytest.fixture
def folder(tmp_path):
    for i, count in enumerate((5, 3, 7)):
        number = np.arange(count, dtype=np.int64) + 100 * i
        image = np.broadcast_to(number[:, None, None] % 256, (count, 2, 3)).astype(np.uint8)
        angle = number[:, None].astype(np.float32)
        np.savez(tmp_path / f"{i}.npz", image=image, number=number, **{"inner/angle": angle})
    return tmp_path


def test_every_example_once_an_epoch_in_a_new_order(folder):
    data = NpzShards(folder, struct(3))
    epochs = [np.concatenate([next(data).number for _ in range(5)]) for _ in range(2)]
    whole = sorted([*range(5), *range(100, 103), *range(200, 207)])
    assert sorted(epochs[0]) == sorted(epochs[1]) == whole
    assert list(epochs[0]) != list(epochs[1])
    batch = next(data)
    assert batch.image.dtype == np.float32
    np.testing.assert_allclose(batch.image[:, 0, 0], (batch.number % 256) / 255)
    np.testing.assert_array_equal(batch.inner.angle[:, 0], batch.number)


@pytest.mark.parametrize("taken", [0, 1, 2, 7])
def test_resume_anywhere(folder, taken):
    data = NpzShards(folder, struct(4))
    for _ in range(taken):
        next(data)
    again = NpzShards(folder, struct(4))
    again.restore(data.state())
    for _ in range(6):
        jax.tree.map(np.testing.assert_array_equal, next(again), next(data))


def test_available_fields(folder):
    file = folder / "0.npz"
    with np.load(file) as stored:
        np.savez(file, image=stored["image"], number=stored["number"])
    (folder / "1.npz").unlink()
    (folder / "2.npz").unlink()
    assert available(folder, struct()) == struct()._replace(inner=None)


def test_mistakes(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="holds no"):
        NpzShards(empty, struct())
    with pytest.raises(UserError, match="image holds examples of shape"):
        next(NpzShards(folder, struct()._replace(image=jax.ShapeDtypeStruct((4, 9), jnp.float32))))
    np.savez(empty / "a.npz", image=np.ones((2, 2, 3), np.float32))
    with pytest.raises(UserError, match="lacks the array 'number'"):
        next(NpzShards(empty, struct()))
    (empty / "a.npz").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match=r"not a readable .npz"):
        next(NpzShards(empty, struct()))
    np.savez(empty / "a.npz", image=np.array([{}]), number=np.array([1]))
    with pytest.raises(UserError, match=r"not a readable .npz"):
        next(NpzShards(empty, Struct(jax.ShapeDtypeStruct((1,), jnp.float32), struct().number)))
