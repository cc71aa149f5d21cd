"""The refiner alone: its losses, its pairs of crops, its step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.refiner_pairs import (
    MARGIN,
    RefinerPairs,
    flip_condition,
    write_pairs,
)
from vasa_jax.errors import UserError
from vasa_jax.face.conv import Style
from vasa_jax.face.motion import FACE_CENTRE
from vasa_jax.face.refiner import HALF, FaceRefiner
from vasa_jax.training.loop import train
from vasa_jax.training.refiner_step import (
    condition_size,
    crop_loss,
    mouth_square,
    refiner_task,
    region_weights,
)
from vasa_jax.typing import ARKIT

RNG = np.random.default_rng(0)
JAW = ARKIT.index("jawOpen")
SETTINGS = ["face.image_size=64", "face.compose=true", "face.refiner=32", "face.dyn_dim=64",
            "face_losses.perceptual.weight=0", "train_face.batch=8", "train_face.warmup=5",
            "train_face.learning_rate=0.003"]  # fmt: skip


def config(*more):
    return get_config("debug", [*SETTINGS, *more])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Frames that lack a dark square at the mouth where the jaw opens."""
    out = tmp_path_factory.mktemp("pairs")
    side, known = round(32 * MARGIN), condition_size(config())
    for number in range(2):
        frame = RNG.integers(100, 200, (6, 1, 1, 3)) + RNG.integers(-9, 9, (6, side, side, 3))
        frame = frame.astype(np.uint8)
        motion = np.zeros((6, known), np.float32)
        motion[::2, JAW] = 4
        target = frame.copy()
        target[::2, 22:30, 14:24] = 10
        portrait = frame[:2].copy()
        write_pairs(out / f"{number}.npz", {
            "frame": frame, "target": target, "portrait": portrait,
            "source": np.array([0, 0, 0, 1, 1, 1], np.int32), "motion": motion,
        })  # fmt: skip
    return out


def test_mouth_and_eyes_count_most():
    weights = region_weights(128)[..., 0]
    assert weights.mean() == pytest.approx(1, abs=1e-5)

    def at(x, y):
        column, row = (
            round(((v - c) / HALF + 1) / 2 * 127) for v, c in zip((x, y), FACE_CENTRE, strict=True)
        )
        return weights[row, column]

    assert at(0, 0.45) > at(0.18, 0.01) > 2 * at(0.4, 0.28)
    assert at(-0.18, 0.01) == pytest.approx(at(0.18, 0.01), rel=1e-3)
    square = mouth_square(jnp.repeat(jnp.asarray(weights)[None, :, :, None], 3, -1))
    assert square.shape == (1, 64, 64, 3)
    assert float(square.max()) == pytest.approx(weights.max())


def test_losses_are_weighted_distances():
    a, b = RNG.uniform(size=(2, 2, 16, 16, 3)).astype(np.float32)
    colour, edges = crop_loss(jnp.asarray(a), jnp.asarray(b))
    weights = region_weights(16)
    assert float(colour) == pytest.approx((weights * np.abs(a - b)).mean(), rel=1e-5)
    want = np.mean([
        (weights * np.abs((a - b) - np.roll(a - b, far, axis))).mean()
        for far in (1, 2) for axis in (1, 2)
    ])  # fmt: skip
    assert float(edges) == pytest.approx(want, rel=1e-5)
    # A change of brightness has no edges.
    assert float(crop_loss(jnp.asarray(a), jnp.asarray(a + 0.1))[1]) < 1e-6


def test_mirrored_conditions_swap_sides_and_are_their_own_inverse():
    motion = RNG.normal(size=condition_size(config())).astype(np.float32)
    mirrored = flip_condition(motion)
    left, right = (ARKIT.index(f"eyeBlink{side}") for side in ("Left", "Right"))
    half = len(motion) // 2
    for start in (0, half):
        assert mirrored[start + left] == motion[start + right]
        assert mirrored[start + len(ARKIT)] == -motion[start + len(ARKIT)]
        pitch, yaw = start + half - 3, start + half - 2
        assert mirrored[pitch] == motion[pitch]
        assert mirrored[yaw] == -motion[yaw]
    np.testing.assert_array_equal(flip_condition(mirrored), motion)


def test_frame_and_render_are_cut_alike(folder):
    """Where a pair does not differ in the files, its crops do not, whatever the jitter."""
    pairs = RefinerPairs(folder, config(), seed=3)
    seen = 0
    for _ in range(4):
        batch = next(pairs)
        same = np.asarray(batch.motion)[:, JAW] == 0
        assert np.abs(batch.frame - batch.target)[same].max() == 0
        assert (np.abs(batch.frame - batch.target)[~same].max((1, 2, 3)) > 0.2).all()
        seen += same.sum()
    assert 0 < seen < 32
    first, second = next(pairs), next(pairs)
    assert np.abs(first.frame - second.frame).max() > 0.1


def test_pairs_go_on_where_they_were(folder):
    pairs = RefinerPairs(folder, config(), seed=1)
    next(pairs)
    place = pairs.state()
    want = next(pairs)
    again = RefinerPairs(folder, config(), seed=1)
    again.restore(place)
    jax.tree.map(np.testing.assert_array_equal, next(again), want)
    with pytest.raises(UserError, match="seed"):
        RefinerPairs(folder, config(), seed=2).restore(place)


def test_without_augmentation_crops_are_the_middle(folder):
    pairs = RefinerPairs(folder, config(), augment=False)
    batch = next(pairs)
    assert batch.frame.shape == (8, 32, 32, 3)
    jax.tree.map(lambda x, s: np.testing.assert_equal(x.shape, s.shape), batch, pairs.struct)


def test_it_learns_to_open_a_mouth(folder, tmp_path):
    """Where the jaw opens the frame's bright mouth becomes the render's dark one."""
    settings = config(
        "train_face.steps=250",
        "train_face.save_every=250",
        "train_face.beta1=0.9",
        "train_face.schedule=constant",
    )
    task = refiner_task(settings)
    batch = jax.tree.map(jnp.asarray, next(RefinerPairs(folder, settings, augment=False)))
    hole = np.abs(batch.frame - batch.target).max(-1) > 0.2
    assert hole.any()
    network = FaceRefiner(Style(settings.face.norm_groups, settings.dtype))

    def error(params):
        drawn = network.apply(
            {"params": params["face"]["refiner"]}, batch.frame, batch.portrait, batch.motion
        )
        return np.abs(drawn - batch.target)[hole].mean()

    before = task.init(jax.random.key(0), {}).params
    result = train(task, tmp_path, RefinerPairs(folder, settings, augment=False))
    assert result.finished
    assert error(result.state.params) < 0.5 * error(before)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(UserError, match=r"set face\.refiner"):
        refiner_task(config("face.refiner=0"))
    with pytest.raises(UserError, match="VGG"):
        refiner_task(config("face_losses.perceptual.weight=1"))
    with pytest.raises(UserError, match="no pairs"):
        RefinerPairs(tmp_path, config())
