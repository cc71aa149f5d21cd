"""Codes of group files against the encoder called on each picture, and eyes turned back."""

import jax
import jax.numpy as jnp
import numpy as np

from recipes.demo.data.dyn_codes import eyes_of, group_codes, main
from tests.data_pipeline.helpers import make_group
from vasa_jax.angles import gaze_angles, gaze_directions
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.data_pipeline.synthetic.swapping import turn_gaze
from vasa_jax.extensions.build import build_face_model
from vasa_jax.params import flatten, save_safetensors


def test_codes_of_groups(tmp_path, capsys):
    config = get_config("debug")
    model, size = build_face_model(config.face), config.face.image_size
    image = jnp.zeros((1, size, size, 3))
    params = jax.jit(lambda key: model.init(key, image, method="encode_motion"))(jax.random.key(0))
    params = params["params"]
    for split, number in (("a", 0), ("a", 1), ("b", 2)):
        write_group(tmp_path / split / f"{number}.npz", make_group(number, size=size))
    codes = group_codes(tmp_path / "a", config, params, batch=5)
    assert codes.dyn.shape == (24, config.face.dyn_dim)
    assert np.unique(codes.face).tolist() == [0, 1, 2, 3]
    encode = jax.jit(lambda x: model.apply({"params": params}, x, method="encode_motion").dyn)
    for number in range(2):
        group = make_group(number, size=size)
        for k, (_, p, d) in enumerate(np.ndindex(*group.counts())):
            picture = decode_rgb(group.images[k], size)[None] / np.float32(255)
            row = 12 * number + k
            np.testing.assert_allclose(codes.dyn[row], encode(picture)[0], atol=1e-5)
            np.testing.assert_array_equal(codes.arkit[row], group.arkit[d])
            np.testing.assert_array_equal(codes.eyes[row], eyes_of(group)[p, d])
            assert codes.face[row] == 2 * number + d
    few = group_codes(tmp_path / "a", config, params, batch=5, each=2)
    assert np.bincount(few.face).tolist() == [2, 2, 2, 2]
    for row in range(8):
        at = np.abs(codes.dyn - few.dyn[row]).max(1).argmin()
        np.testing.assert_allclose(few.dyn[row], codes.dyn[at], atol=1e-6)
        np.testing.assert_array_equal(few.arkit[row], codes.arkit[at])
        assert few.face[row] == codes.face[at]
    save_safetensors(tmp_path / "w.safetensors", flatten({"face": params}), {})
    words = [
        tmp_path / "a",
        tmp_path / "b",
        "--weights",
        tmp_path / "w.safetensors",
        "--config",
        "debug",
        "-o",
        tmp_path / "r.safetensors",
    ]
    assert main([str(word) for word in words]) == 0
    assert (tmp_path / "r.safetensors").is_file()
    assert "linear" in capsys.readouterr().out


def test_eyes_are_turned_back():
    """Against scipy's rotations, and against how `swapping` turned them."""
    from scipy.spatial.transform import Rotation

    eyes = np.random.default_rng(0).normal(size=(2, 2)) * 0.2
    group = make_group(3)
    group = group._replace(gaze=turn_gaze(eyes, group.rotation[0]).astype(np.float32))
    got = eyes_of(group)
    np.testing.assert_allclose(got, np.broadcast_to(eyes, got.shape), atol=1e-6)
    for p, (pitch, yaw, roll) in enumerate(group.rotation[0]):
        turn = Rotation.from_euler("ZYX", [roll, yaw, pitch])
        want = gaze_angles(turn.inv().apply(gaze_directions(group.gaze[p])))
        np.testing.assert_allclose(got[p], want, atol=1e-6)
