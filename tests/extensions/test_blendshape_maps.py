"""Maps of what z_dyn does in the canonical volume."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.extensions.blendshape_maps import LR_SCALE, BlendshapeMaps, from_displacements
from vasa_jax.extensions.build import build_face_model
from vasa_jax.face.pose import identity_pose
from vasa_jax.typing import Motion

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_a_sum_of_maps_at_the_volumes_size(size):
    maps = RNG.normal(size=(5, 16, 16, 7)).astype(np.float32)
    dyn = RNG.normal(size=(2, 5)).astype(np.float32)
    params = {"params": {"maps": jnp.asarray(maps)}}
    delta, features = BlendshapeMaps(16, size, 4).apply(params, jnp.asarray(dyn))
    assert delta.shape == (2, 1, size, size, 3)
    assert features.shape == (2, 1, size, size, 4)
    x = torch.from_numpy(np.tensordot(dyn, maps, 1)).permute(0, 3, 1, 2)
    if size < 16:
        x = torch.nn.functional.avg_pool2d(x, 2)
    elif size > 16:
        x = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
    found = np.concatenate([delta, features], -1)[:, 0] / LR_SCALE
    np.testing.assert_allclose(found, x.permute(0, 2, 3, 1), atol=1e-5)


def test_new_maps_change_nothing_and_learn_at_once():
    config = get_config("debug", ["face.extensions.blendshape_maps=32"]).face
    assert config.volume_size in (16, 32)
    plain, mapped = build_face_model(get_config("debug").face), build_face_model(config)
    image = jnp.asarray(RNG.uniform(size=(2, config.image_size, config.image_size, 3)), jnp.float32)
    params = jax.jit(mapped.init)(jax.random.key(0), image, image)
    motion = Motion(
        identity_pose(2), jnp.asarray(RNG.normal(size=(2, config.dyn_dim)), jnp.float32)
    )

    @jax.jit
    def draw(params):
        source = mapped.apply(params, image, motion, method="encode_source")
        return mapped.apply(params, source, motion, method="decode")

    rest = {k: v for k, v in params["params"].items() if not k.startswith("maps_")}
    source = plain.apply({"params": rest}, image, motion, method="encode_source")
    want = plain.apply({"params": rest}, source, motion, method="decode")
    np.testing.assert_allclose(draw(params), want, atol=1e-5)
    grads = jax.grad(lambda p: jnp.square(draw(p) - image).mean())(params)["params"]
    driver = np.abs(grads["maps_driver"]["maps"])
    assert driver[..., :3].max() > 0
    assert driver[..., 3:].max() > 0
    assert np.abs(grads["maps_source"]["maps"]).max() > 0


def test_known_displacements_come_out_again():
    displacements = RNG.normal(size=(3, 16, 16, 3)).astype(np.float32)
    maps = from_displacements(np.ones((5, 16, 16, 4), np.float32), displacements, -4.0)
    code = jnp.asarray(4.0 * np.eye(5, dtype=np.float32)[1:2])
    delta, _ = BlendshapeMaps(16, 16, 1).apply({"params": {"maps": jnp.asarray(maps)}}, code)
    np.testing.assert_allclose(delta[0, 0], -displacements[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(maps[3:], 1)
    np.testing.assert_array_equal(maps[..., 3:], 1)


def test_an_impossible_size_is_refused():
    with pytest.raises(UserError, match="blendshape_maps"):
        get_config("debug", ["face.extensions.blendshape_maps=24"])
