"""The dynamics encoder alone: its crops, its step, its place in the face model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recipes.demo.data.face_crops import WARP, FaceCrops, cut, smooth_warp
from recipes.demo.stages.dyn_encoder_step import dyn_encoder_trainer
from tests.data_pipeline.helpers import picture, write_groups
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.pose_examples import InPlaneTransform
from vasa_jax.errors import UserError
from vasa_jax.extensions.build import build_face_model
from vasa_jax.extensions.face_crop import face_crop
from vasa_jax.training.loop import train
from vasa_jax.typing import Pose

SIZE = 64
SETTINGS = [
    "face.extensions.dyn_crop=32",
    "face_losses.arkit.weight=1",
    "face_losses.gaze.weight=1",
    "train_face.batch=8",
    "train_face.learning_rate=0.003",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("groups")
    write_groups(out, 5, size=SIZE)
    return out


def test_crops_by_opencv_are_the_models_own():
    """Same geometry: the model's sampler and OpenCV agree to the grey levels of 8 bits."""
    image = picture(SIZE, 3, 1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        rotation = rng.uniform(-0.4, 0.4, (1, 3)).astype(np.float32)
        place = rng.uniform(-0.2, 0.2, (1, 3)).astype(np.float32)
        scale = rng.uniform(-0.3, 0.3, (1, 1)).astype(np.float32)
        pose = Pose(jnp.asarray(rotation), jnp.asarray(place), jnp.asarray(scale))
        theirs = face_crop(jnp.asarray(image[None] / np.float32(255)), pose, 32)[0]
        ours = cut(
            image, InPlaneTransform(float(rotation[0, 2]), place[0, :2], float(scale[0, 0])), 32
        )
        assert np.abs(np.asarray(theirs) * 255 - ours).max() < 8  # OpenCV's weights have 5 bits
        assert np.abs(np.asarray(theirs) * 255 - ours).mean() < 1


def test_what_the_pose_says_is_taken_away():
    """A mark at a canonical place stays put in the crop, wherever the head is."""
    spots = []
    for rotation, place, scale in ((0.0, (0.0, 0.0), 0.0), (0.3, (0.15, -0.1), 0.25)):
        pose = Pose(
            *(jnp.asarray(v, jnp.float32) for v in ([[0, 0, rotation]], [[*place, 0]], [[scale]]))
        )
        grow = np.exp(scale)
        mouth = np.array([0.1, 0.4])
        turn = np.array(
            [[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]]
        )
        x, y = (grow * turn @ mouth + place + 1) * (128 - 1) / 2
        grid = np.mgrid[:128, :128]
        image = np.exp(-((grid[1] - x) ** 2 + (grid[0] - y) ** 2) / 18).astype(np.float32)
        crop = np.asarray(face_crop(jnp.asarray(image)[None, ..., None].repeat(3, -1), pose, 64))
        spots.append(np.unravel_index(crop[0, ..., 0].argmax(), (64, 64)))
    assert np.abs(np.subtract(*spots)).max() <= 1
    assert min(spots[0]) > 5


WHERE = InPlaneTransform(0.2, np.array([0.1, 0.0]), 0.1)


def test_a_warp_moves_where_pixels_come_from():
    image = picture(128, 3, 1)
    still = cut(image, WHERE, 32)
    shift = np.zeros((32, 32, 2))
    warped = cut(image, WHERE, 32, shift)
    assert np.abs(warped.astype(int) - still).max() <= 1
    shift[..., 0] = 5
    moved = cut(image, WHERE, 32, shift)
    assert np.abs(moved[:, :-5].astype(int) - still[:, 5:]).max() <= 1


def test_warps_are_smooth_symmetric_and_as_large_as_they_say():
    rng = np.random.default_rng(0)
    warps = np.stack([smooth_warp(rng.normal(size=(4, 4, 2)), 96) for _ in range(400)])
    np.testing.assert_allclose(warps, warps[:, :, ::-1] * (-1, 1), atol=1e-4)
    # Interpolation lowers the spread between control points.
    assert 0.6 * WARP * 96 < warps[..., 1].std() < 1.1 * WARP * 96
    assert np.abs(np.diff(warps, axis=1)).max() < 1  # nothing folds over


def test_it_trains_and_resumes_in_the_loop(folder, tmp_path):
    config = get_config("debug", [*SETTINGS, "train_face.steps=12", "train_face.save_every=6"])
    task = dyn_encoder_trainer(config)
    whole = train(task, tmp_path / "a", FaceCrops(folder, config))
    train(task, tmp_path / "b", FaceCrops(folder, config), steps=6)
    parts = train(task, tmp_path / "b", FaceCrops(folder, config))
    assert parts.step == whole.step == 12
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), whole.state, parts.state)
    assert all(jax.tree.leaves(same))
    image = jnp.zeros((1, SIZE, SIZE, 3))
    face = jax.eval_shape(build_face_model(config.face).init, jax.random.key(0), image, image)[
        "params"
    ]
    assert jax.tree.map(jnp.shape, whole.state.params["face"]["dyn"]) == jax.tree.map(
        lambda s: s.shape, face["dyn"]
    )


def test_it_learns_what_the_pictures_hold(folder, tmp_path):
    """Few pictures, each with its own labels: errors fall far below those of the mean."""
    config = get_config(
        "debug", [*SETTINGS, "train_face.steps=150", "train_face.schedule=constant"]
    )
    data = FaceCrops(folder, config, plain=True)
    losses = []

    class Watch:
        def note(self, text): ...

        def step(self, step, total, values):
            losses.append(values["arkit"])

        def close(self): ...

    train(dyn_encoder_trainer(config), tmp_path, data, progress=Watch())
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[1:6])


def test_without_a_crop_there_is_no_reader():
    with pytest.raises(UserError, match=r"set face\.extensions\.dyn_crop"):
        dyn_encoder_trainer(get_config("debug"))
