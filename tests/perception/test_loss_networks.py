"""The frozen networks of stage 1's losses: which files serve which loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax import int8
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.params import flatten, save_safetensors
from vasa_jax.perception.align import VGGFACE, aligned_crop
from vasa_jax.perception.loss_networks import Perception, loss_networks
from vasa_jax.perception.vgg import VGG, VGG16_BLOCKS, VGG19_BLOCKS, VGGFACE_MEAN
from vasa_jax.training.face_trainer import bind_networks
from vasa_jax.training.mesh import single_device

FRONTAL = [[0.38, 0.42], [0.62, 0.42], [0.5, 0.55], [0.4, 0.68], [0.6, 0.68]]


def stored(folder, network):
    file = folder / f"{network}.safetensors"
    params = {"conv1_1": {"kernel": np.ones((3, 3, 3, 2), np.float32)}}
    save_safetensors(file, flatten(params), {"network": network})
    return file


def test_vgg19_and_vggface_are_on_together(tmp_path):
    config = get_config("vasa1", ["face_losses.cross_identity.weight=0"])
    vgg, face = (stored(tmp_path, name) for name in ("vgg19", "vggface"))
    perception, frozen = loss_networks(config, vgg=vgg, vggface=face)
    assert set(frozen) == {"vgg", "face"}  # no identity network is asked for
    assert perception.vgg.blocks == VGG19_BLOCKS
    assert (perception.face.blocks, perception.face.mean) == (VGG16_BLOCKS, VGGFACE_MEAN)
    with pytest.raises(UserError, match="holds vggface, not vgg19 or vgg16"):
        loss_networks(config, vgg=face, vggface=face)
    with pytest.raises(UserError, match="holds vgg19, not vggface"):
        loss_networks(config, vgg=vgg, vggface=vgg)


def test_packed_kernels_are_widened(tmp_path):
    """A VGG whose kernels are int8 computes what the float32 one does, within half a step."""
    rng = np.random.default_rng(0)
    network = VGG((1, 1), ("relu1_1", "relu2_1"), widths=(32, 32))
    images = jnp.asarray(rng.uniform(size=(1, 32, 32, 3)), jnp.float32)
    params = network.init(jax.random.key(0), images)["params"]
    packed = int8.pack(flatten(params), np.float32)
    assert packed["conv2_1/kernel"].dtype == np.int8
    save_safetensors(tmp_path / "vgg.safetensors", packed, {"network": "vgg16"})
    config = get_config(
        "vasa1", ["face_losses.cross_identity.weight=0", "face_losses.face_features.weight=0"]
    )
    _, frozen = loss_networks(config, vgg=tmp_path / "vgg.safetensors")
    assert jax.tree.map(jnp.shape, frozen["vgg"]) == jax.tree.map(jnp.shape, dict(params))
    for got, want in zip(
        network.apply({"params": frozen["vgg"]}, images),
        network.apply({"params": params}, images),
        strict=True,
    ):
        assert float(jnp.abs(got - want).mean() / jnp.abs(want).mean()) < 0.01


def test_each_network_sees_what_is_its_own():
    """Whole pictures, and aligned faces of 224 px."""
    small = {"blocks": (1, 1), "taps": ("relu1_1", "relu2_1"), "widths": (4, 4)}
    perception = Perception(vgg=VGG(**small), face=VGG(**small, mean=VGGFACE_MEAN))
    picture = jnp.zeros((1, 64, 64, 3))
    frozen = {
        name: getattr(perception, name).init(jax.random.key(k), picture)["params"]
        for k, name in enumerate(("vgg", "face"))
    }
    config = get_config("debug")
    found = bind_networks(perception, config, single_device(), frozen, {})
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(size=(2, 64, 64, 3)), jnp.float32)
    points = jnp.asarray([FRONTAL, FRONTAL], jnp.float32)
    assert [x.shape[1] for x in found.vgg(images)] == [64, 32]
    features = found.face(images, points)
    assert [x.shape[1] for x in features] == [224, 112]
    chips = aligned_crop(images, points, VGGFACE)
    want = perception.face.apply({"params": frozen["face"]}, chips)
    for a, b in zip(features, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
