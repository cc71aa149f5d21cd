"""Frozen encoders: their parameters rest, gradients still reach the pictures that they read."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasa_jax.compile_cache import QUICK_COMPILE
from vasa_jax.config import get_config
from vasa_jax.config.losses import (
    AdversarialLoss,
    ConsistencyLoss,
    PixelLoss,
    RegionLoss,
    SelfLoss,
)
from vasa_jax.extensions.build import build_face_model
from vasa_jax.face.forward import FaceNetworks, forward
from vasa_jax.face.losses import face_terms
from vasa_jax.face.pose import motion_to_vector
from vasa_jax.means import add_up
from vasa_jax.training.face_batches import random as random_batch
from vasa_jax.training.face_networks import face_functions

SIDE = 32
CONFIG = get_config(
    "debug",
    [f"face.{name}={SIDE}" for name in ("image_size", "identity_image_size", "motion_image_size")],
)
CONTRAST = replace(
    CONFIG.face_losses,
    pixel=PixelLoss(weight=0.0),
    self_drive=SelfLoss(weight=0.0),
    eyes=RegionLoss(weight=0.0),
    mouth=RegionLoss(weight=0.0),
    adversarial=AdversarialLoss(weight=0.0, feature_matching=0.0),
    consistency=ConsistencyLoss(weight=0.0),
)


def frozen(*nets):
    held = {f"freeze_{n}": True for n in nets}
    return replace(CONFIG, train_face=replace(CONFIG.train_face, **held))


@pytest.fixture(scope="module")
def params():
    image = jnp.zeros((1, SIDE, SIDE, 3))
    init = jax.jit(build_face_model(CONFIG.face).init, compiler_options=QUICK_COMPILE)
    face = init(jax.random.key(0), image, image)["params"]
    # The pose head starts at zero, and nothing would flow through it.
    kernel = face["pose"]["head"]["kernel"]
    head = face["pose"]["head"] | {
        "kernel": 0.1 * jax.random.normal(jax.random.key(7), kernel.shape)
    }
    return {"face": face | {"pose": face["pose"] | {"head": head}}}


def largest(tree):
    return max(float(jnp.abs(x).max()) for x in jax.tree.leaves(tree))


def close(a, b):
    scale = largest(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5 * scale), a, b)


@pytest.mark.parametrize("net", ["pose", "dyn"])
def test_codes_reach_the_picture_and_not_the_frozen_parameters(params, net):
    image = jax.random.uniform(jax.random.key(1), (2, SIDE, SIDE, 3))

    def gradients(config):
        def loss(params, image):
            motion = face_functions(config, params).encode_motion(image)
            part = motion.dyn if net == "dyn" else motion_to_vector(motion)[:, :7]
            return jnp.sum(part**2)

        grad = jax.jit(jax.grad(loss, argnums=(0, 1)), compiler_options=QUICK_COMPILE)
        return grad(params, image)

    (free, picture), (held, same) = gradients(CONFIG), gradients(frozen(net))
    assert largest(free["face"][net]) > 0
    assert largest(held["face"][net]) == 0
    assert largest(picture) > 0
    close(same, picture)


def test_contrast_moves_the_generator_under_a_frozen_encoder(params):
    """The contrast loss reads dynamics off the drawn pictures: what it tells the generator does not
    depend on whether the encoder learns."""
    batch = jax.tree.map(jnp.asarray, random_batch(CONFIG, 4))

    def gradients(config):
        def loss(params):
            outputs = forward(CONTRAST, face_functions(config, params), batch)
            return add_up(face_terms(CONTRAST, batch, outputs, FaceNetworks()))[0]

        return jax.jit(jax.grad(loss), compiler_options=QUICK_COMPILE)(params)["face"]

    free, held = gradients(CONFIG), gradients(frozen("dyn"))
    assert largest(held["dyn"]) == 0
    assert largest(free["dyn"]) > 0
    assert largest(held["decoder"]) > 0
    close({k: v for k, v in held.items() if k != "dyn"}, {k: free[k] for k in held if k != "dyn"})
