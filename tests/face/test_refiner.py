"""The face refiner: its crop and paste against scipy, its network, its place in the model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.face.model import FaceModel
from vasa_jax.face.motion import FACE_CENTRE
from vasa_jax.face.refiner import (
    HALF,
    FaceRefiner,
    _fold,
    _unfold,
    condition,
    crop_face,
    paste_face,
    window,
)
from vasa_jax.typing import Motion, Pose

RNG = np.random.default_rng(0)
POSE = Pose(
    jnp.array([[0.1, -0.3, 0.25], [0.0, 0.2, -0.4]]),
    jnp.array([[0.1, -0.15, 0.0], [-0.05, 0.02, 0.0]]),
    jnp.array([[0.1], [-0.25]]),
)
SETTINGS = ["face.image_size=64", "face.refiner=32", "face.compose=true"]


def smooth(count, size):
    noise = RNG.normal(size=(count, size, size, 3))
    image = ndimage.gaussian_filter(noise, (0, 3, 3, 0))
    return jnp.asarray(0.5 + 0.4 * image / np.abs(image).max(), jnp.float32)


def test_a_crop_shows_the_picture_where_the_head_is():
    image, side = smooth(2, 96), 32
    found = crop_face(image, POSE, side)
    axis = np.linspace(-HALF, HALF, side)
    y, x = np.meshgrid(axis + FACE_CENTRE[1], axis + FACE_CENTRE[0], indexing="ij")
    for k in range(2):
        turn = Rotation.from_euler("z", float(POSE.rotation[k, 2])).as_matrix()[:2, :2]
        place = np.exp(float(POSE.log_scale[k, 0])) * np.stack([x, y], -1) @ turn.T
        place = (place + np.asarray(POSE.translation[k, :2]) + 1) * (96 - 1) / 2
        for c in range(3):
            want = ndimage.map_coordinates(
                np.asarray(image[k, ..., c], np.float64), [place[..., 1], place[..., 0]],
                order=1, mode="nearest",
            )  # fmt: skip
            np.testing.assert_allclose(found[k, ..., c], want, atol=1e-5)


def test_pasting_is_the_inverse_of_cropping():
    """A smooth picture cut out and laid onto black is there again, and nothing elsewhere."""
    image, side = smooth(2, 128), 128
    crop = crop_face(image, POSE, side)
    back = paste_face(jnp.zeros_like(image), POSE, window(side) * crop)
    weight = paste_face(jnp.zeros_like(image), POSE, jnp.broadcast_to(window(side), crop.shape))
    full = weight > 0.99
    assert 0.02 < float(full.mean()) < 0.6
    np.testing.assert_allclose(back[full], image[full], atol=0.02)
    assert np.abs(back[weight == 0]).max() == 0
    assert float((weight == 0).mean()) > 0.3


def test_the_window_fades_to_nothing_at_the_edge():
    seen = np.asarray(window(64))[..., 0]
    assert seen[0].max() == seen[:, -1].max() == 0
    assert seen[32, 32] == 1
    assert (np.diff(seen[32, :32]) >= 0).all()


def test_folding_is_undone_by_unfolding():
    x = jnp.asarray(RNG.normal(size=(2, 8, 6, 5)), jnp.float32)
    assert (_unfold(_fold(x)) == x).all()
    assert (_fold(x)[0, 1, 2].reshape(2, 2, 5) == x[0, 2:4, 4:6]).all()


def network(size=32):
    module = FaceRefiner()
    crops = smooth(2, size), smooth(1, size)
    motion = jnp.asarray(RNG.normal(size=(2, 22)), jnp.float32)
    return module, module.init(jax.random.key(0), *crops, motion), crops, motion


def with_a_head(params):
    """The parameters, but for a last layer that adds something."""
    kernel = params["head"]["kernel"]
    kernel = 0.1 * jax.random.normal(jax.random.key(2), kernel.shape)
    return {**params, "head": {**params["head"], "kernel": kernel}}


def test_at_the_start_a_frame_is_itself_and_its_edge_always():
    module, params, (frame, portrait), motion = network()
    np.testing.assert_array_equal(module.apply(params, frame, portrait, motion), frame)
    drawn = module.apply({"params": with_a_head(params["params"])}, frame, portrait, motion)
    assert drawn.dtype == jnp.float32
    assert np.abs(drawn - frame)[:, 8:24, 8:24].mean() > 0.01
    for edge in (drawn[:, 0] - frame[:, 0], drawn[:, :, -1] - frame[:, :, -1]):
        assert np.abs(edge).max() == 0


@pytest.mark.parametrize("which", [0, 1, 2])
def test_frame_portrait_and_motion_all_matter(which):
    module, params, (frame, portrait), motion = network()
    params = {"params": with_a_head(params["params"])}
    inputs = [frame, portrait, motion]
    before = module.apply(params, *inputs)
    inputs[which] = inputs[which] + 0.3
    change = module.apply(params, *inputs) - before - (inputs[0] - frame)
    assert np.abs(change[:, 8:24, 8:24]).max() > 1e-3


def test_conditions_hold_both_motions():
    motions = [
        Motion(
            Pose(*(jnp.asarray(RNG.normal(size=(n, k)), jnp.float32) for k in (3, 3, 1))),
            jnp.asarray(RNG.normal(size=(n, 5)), jnp.float32),
        )
        for n in (1, 4)
    ]
    found = np.asarray(condition(*motions))
    assert found.shape == (4, 16)
    np.testing.assert_array_equal(found[:, :5], motions[1].dyn)
    np.testing.assert_array_equal(found[2, 8:13], motions[0].dyn[0])


def test_a_model_with_a_refiner_changes_the_inner_face_alone():
    config = get_config("debug", SETTINGS)
    portrait = smooth(1, 64)
    model = FaceModel(config.face)
    params = model.init(jax.random.key(1), portrait, portrait)["params"]
    params["refiner"] = with_a_head(params["refiner"])
    plain = FaceModel(get_config("debug", [*SETTINGS[::2], "face.refiner=0"]).face)
    assert set(params) - set(plain.init(jax.random.key(1), portrait, portrait)["params"]) == {
        "refiner"
    }
    motion = Motion(jax.tree.map(lambda x: x[:1], POSE), jnp.zeros((1, config.face.dyn_dim)))
    frames = []
    for network in (model, plain):
        variables = {
            "params": {k: v for k, v in params.items() if k != "refiner" or network is model}
        }
        source = network.apply(variables, portrait, method="encode_source")
        frames.append(network.apply(variables, source, motion, method="decode"))
    changed = np.abs(frames[0] - frames[1]).max(-1)[0]
    touched = paste_face(jnp.zeros((1, 64, 64, 3)), motion.pose, jnp.ones((1, 32, 32, 3)))[
        0, ..., 0
    ]
    assert changed[np.asarray(touched) == 0].max() < 1e-6
    assert changed[np.asarray(touched) > 0.9].mean() > 1e-4


@pytest.mark.parametrize(
    ("setting", "word"), [("face.refiner=20", "multiple of 8"), ("face.compose=false", "compose")]
)
def test_impossible_settings_are_refused(setting, word):
    with pytest.raises(UserError, match=word):
        get_config("debug", [*SETTINGS, setting])
