"""The pose encoder alone: turned pictures and what becomes of their labels, its step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recipes.demo.data.pose_images import PoseImages
from tests.data_pipeline.helpers import make_group, write_groups
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.pose_examples import InPlaneTransform
from vasa_jax.extensions.build import build_face_model
from vasa_jax.face.pose import pose_matrix
from vasa_jax.training.loop import train
from vasa_jax.training.pose_trainer import pose_trainer
from vasa_jax.typing import Pose

SIZE, SEEN = 64, 48
SETTINGS = [
    "train_pose.batch=8",
    "train_pose.learning_rate=0.003",
    f"face.motion_image_size={SEEN}",
]
TURN = InPlaneTransform(0.4, np.array([0.15, -0.1]), 0.2)
POSE = Pose(np.array([0.3, -0.5, 0.2]), np.array([0.1, -0.2, 0.05]), np.array([0.1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("groups")
    write_groups(out, 2, size=SIZE)
    return out


def test_a_turned_pose_is_the_pose_and_then_the_turn():
    found = pose_matrix(jax.tree.map(jnp.asarray, TURN.pose(POSE)))
    turn = np.exp(TURN.log_scale) * Rotation.from_euler("z", TURN.roll).as_matrix()
    want = turn @ np.asarray(pose_matrix(jax.tree.map(jnp.asarray, POSE)))
    want[:2, 3] += TURN.shift
    np.testing.assert_allclose(found, want, atol=1e-6)


@pytest.mark.parametrize("size", [96, 64, 40])
def test_a_turned_picture_shows_each_point_where_the_turned_pose_has_it(size):
    """A spot at a head's point, before and after: the labels say where it went."""
    point = np.array([0.1, -0.3, 0.2, 1.0])

    def place(pose, side):
        seen = np.asarray(pose_matrix(jax.tree.map(jnp.asarray, pose))) @ point
        return (seen[:2] + 1) * (side - 1) / 2

    x, y = place(POSE, 96)
    rows, columns = np.mgrid[:96, :96]
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 30)
    image = np.repeat(spot.astype(np.uint8)[..., None], 3, -1)
    turned = TURN.image(image, size)[..., 0].astype(float)
    assert turned.shape == (size, size)
    rows, columns = np.mgrid[:size, :size]
    centre = [(turned * axis).sum() / turned.sum() for axis in (columns, rows)]
    np.testing.assert_allclose(centre, place(TURN.pose(POSE), size), atol=0.15)


def test_plain_pictures_are_as_they_are_and_others_change_with_their_labels(folder):
    config = get_config("debug", SETTINGS)
    plain, turned = (next(PoseImages(folder, config, plain=p)) for p in (True, False))
    rotations = np.concatenate([make_group(n, size=SIZE).rotation.reshape(-1, 3) for n in range(2)])
    labels = {tuple(r) for r in rotations}
    assert {tuple(r) for r in plain.pose.rotation} <= labels
    assert not {tuple(r) for r in turned.pose.rotation} & labels
    assert plain.image.shape == turned.image.shape == (8, SEEN, SEEN, 3)
    assert 0 <= turned.image.min() < turned.image.max() <= 1


def test_it_learns_resumes_and_fits_the_face_model(folder, tmp_path):
    config = get_config(
        "debug",
        [
            *SETTINGS,
            "train_pose.steps=160",
            "train_pose.save_every=80",
            "train_pose.schedule=constant",
        ],
    )
    losses, task = [], pose_trainer(config)

    class Watch:
        def note(self, text): ...

        def step(self, step, total, values):
            losses.append(values["pose"])

        def close(self): ...

    data = lambda: PoseImages(folder, config, plain=True)  # noqa: E731
    whole = train(task, tmp_path / "a", data(), progress=Watch())
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    train(task, tmp_path / "b", data(), steps=80)
    parts = train(task, tmp_path / "b", data())
    assert parts.step == whole.step == 160
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), whole.state, parts.state)
    assert all(jax.tree.leaves(same))
    # The face model reads by the same parameters.
    images = jnp.asarray(next(data()).image)
    model = build_face_model(config.face)
    whole_size = jnp.zeros((1, SIZE, SIZE, 3))
    params = jax.jit(model.init)(jax.random.key(0), whole_size, whole_size)["params"]
    params = {**params, "pose": whole.state.params["face"]["pose"]}
    motion, pose = (
        model.apply({"params": params}, images, method=f"encode_{what}")
        for what in ("motion", "pose")
    )
    np.testing.assert_array_equal(motion.pose.rotation, pose.rotation)
    assert np.abs(np.asarray(pose.rotation)).max() > 0.01
