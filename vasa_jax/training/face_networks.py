"""The networks of a step of stage 1 as functions: the face model, the losses' frozen networks, the
discriminator. Each runs on a device's own examples."""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import optax

from vasa_jax.config import Config
from vasa_jax.extensions.build import build_face_model
from vasa_jax.extensions.face_patches import discriminator_patches
from vasa_jax.face.discriminator import Discriminator
from vasa_jax.face.forward import FaceFunctions, FaceNetworks
from vasa_jax.face.losses import discriminator_inputs
from vasa_jax.perception.align import VGGFACE, aligned_crop
from vasa_jax.perception.identity import identity_network
from vasa_jax.perception.loss_networks import Perception
from vasa_jax.training.mesh import Layout
from vasa_jax.training.state import make_optimizer, remat
from vasa_jax.typing import Array, Float

__all__ = [
    "bind_networks",
    "build_discriminator",
    "face_functions",
    "face_optimizer",
    "inputs_of_discriminator",
]

CHIP = 130
"""Typical side, pixels, of the aligned face that an identity network sees (112 to 150)."""


def build_discriminator(config: Config) -> Discriminator | None:
    """None where no loss uses it."""
    adversarial = config.face_losses.adversarial
    if not adversarial.weight and not adversarial.feature_matching:
        return None
    return Discriminator(adversarial.scales, adversarial.widths, config.dtype)


def inputs_of_discriminator(config: Config) -> Callable[..., tuple[Any, Any]]:
    """(losses, batch, driven) -> real and generated images: whole ones, or patches under
    `adversarial.face_patches`."""
    patches = config.face_losses.adversarial.face_patches
    return discriminator_patches if patches else discriminator_inputs


def _frozen(config: Config) -> str:
    """A pattern of the names of the parts of the face model that are not trained, or ""."""
    train = config.train_face
    held = [name for name in ("pose", "dyn") if getattr(train, f"freeze_{name}")]
    return "|".join(held)


def face_optimizer(
    config: Config, rate: Float[Array, ""] | None = None
) -> optax.GradientTransformation:
    """AdamW of the generator; parts that `train_face` freezes stay as they are.

    rate: as in `make_optimizer`.
    """
    held = _frozen(config)
    return make_optimizer(config.train_face, f"^face/({held})/" if held else "", rate)


def bind_networks(
    perception: Perception,
    config: Config,
    layout: Layout,
    frozen: Any,
    discriminator_variables: Any,
) -> FaceNetworks:
    """The losses' networks with parameters bound, each on a device's own examples."""
    vgg = face = discriminator = None
    identity: Any = None
    if "vgg" in frozen:
        apply = layout.by_example(lambda p, x: perception.vgg.apply({"params": p}, x))
        vgg = partial(remat(apply, config.train_face.remat), frozen["vgg"])
    if "face" in frozen:

        def features(params, images, points):
            chips = aligned_crop(images, points, VGGFACE, _shrink(config, VGGFACE.size))
            return perception.face.apply({"params": params}, chips)

        apply = remat(layout.by_example(features), config.train_face.remat)
        face = partial(apply, frozen["face"])
    if "identity" in frozen:
        shrink, kind = _shrink(config, CHIP), perception.identity
        apply = layout.by_example(
            lambda p, images, points: identity_network(kind, p, shrink)(images, points)
        )
        identity = partial(apply, frozen["identity"])
    module = build_discriminator(config)
    if module is not None and discriminator_variables:
        apply = layout.by_example(module.apply)
        discriminator = partial(apply, discriminator_variables)
    return FaceNetworks(vgg, face, identity, discriminator, inputs_of_discriminator(config))


def _shrink(config: Config, chip: int) -> int:
    """How many pixels of a picture a chip's pixel is made of: a face fills about 0.6 of it."""
    return 2 ** max(0, round(math.log2(0.6 * config.face.image_size / chip)))


def face_functions(config: Config, params: Any, layout: Layout | None = None) -> FaceFunctions:
    """The face model's parts, each with its own rematerialisation, on a device's own examples.

    Parameters of frozen parts get no gradient; the pictures that these parts read do.
    """
    model, face = build_face_model(config.face, config.dtype), params["face"]
    held = _frozen(config)
    face = {
        name: jax.lax.stop_gradient(part) if held and re.fullmatch(held, name) else part
        for name, part in face.items()
    }

    def part(name):
        def apply(params, *inputs):
            return model.apply({"params": params}, *inputs, method=name)

        run = apply if layout is None else layout.by_example(apply)
        return partial(remat(run, config.train_face.remat), face)

    return FaceFunctions(*(part(name) for name in FaceFunctions._fields))
