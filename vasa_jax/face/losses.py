"""Objective of stage 1: the weighted sum of all losses of the face model on a batch.

Reconstruction, perceptual, adversarial and contrast terms are MegaPortraits'; l_consist and
l_cross_id are VASA-1's (section 3.1). The trainer calls `vasa_jax.face.forward.forward` inside its
loss function, then `face_terms`, and trains the discriminator on `discriminator_inputs`.
"""

from collections.abc import Sequence
from typing import TypeVar

import jax.numpy as jnp

from vasa_jax.config.losses import FaceLossConfig, RegionLoss
from vasa_jax.errors import UserError
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.discriminator import (
    discriminator_loss,
    feature_matching,
    generator_loss,
)
from vasa_jax.face.forward import (
    FaceNetworks,
    FaceOutputs,
    different_identity_mask,
    partner,
)
from vasa_jax.face.image_losses import (
    feature_loss,
    masked,
    perceptual_loss,
    pixel_loss,
    pyramid_features,
    region_masks,
    region_perceptual_loss,
)
from vasa_jax.face.latent_losses import (
    contrast_loss,
    identity_loss,
    pose_loss,
)
from vasa_jax.means import Means, Term, uniform
from vasa_jax.typing import Array, Float, Image, Int

__all__ = [
    "average",
    "discriminator_inputs",
    "discriminator_loss",
    "face_terms",
    "need",
]

Scalar = Float[Array, ""]
T = TypeVar("T")


def discriminator_inputs(
    config: FaceLossConfig, batch: FaceBatch, driven: Image
) -> tuple[Image, Image]:
    """(real, generated) images that the discriminator sees, the foreground under `masked`."""
    mask = batch.driver.mask if config.masked else None
    return masked(batch.driver.image, mask), masked(driven, mask)


def face_terms(
    config: FaceLossConfig,
    batch: FaceBatch,
    outputs: FaceOutputs,
    networks: FaceNetworks,
    step: Int[Array, ""] | int | None = None,
) -> list[Term]:
    """The paper's losses of the generator with their weights; counts depend on the batch alone.

    step: the training step, for losses that start late; None counts them fully.
    Raises UserError when a loss with a weight lacks a network or something in the batch.
    """
    return [
        *_reconstruction(config, batch, outputs, networks),
        *_adversarial(config, batch, outputs, networks, step),
        *_disentanglement(config, batch, outputs, networks, step),
        *_pose_labels(config, batch, outputs),
    ]


def _reconstruction(config, batch, outputs, networks) -> list[Term]:
    mask_d, mask_s = (batch.driver.mask, batch.source.mask) if config.masked else (None, None)
    driver, same = masked(batch.driver.image, mask_d), masked(outputs.driven, mask_d)
    share, perceptual = config.self_drive.weight, config.perceptual
    terms, rows = [], len(batch.identity)
    if config.pixel.weight:
        terms.append(("pixel", config.pixel.weight, pixel_loss(same, driver, mask_d)))
    if config.pixel.weight and share:
        own, source = (masked(x, mask_s) for x in (outputs.reconstructed, batch.source.image))
        value = pixel_loss(own, source, mask_s)
        terms.append(("self_pixel", share * config.pixel.weight, value))
    levels = None
    if perceptual.weight:
        vgg = need(networks.vgg, "perceptual", "the weights of VGG")
        levels = [pyramid_features(vgg, x, perceptual.scales) for x in (same, driver)]
        value = uniform(perceptual_loss(perceptual, *levels), rows)
        terms.append(("perceptual", perceptual.weight, value))
        if share:
            own_levels = [
                pyramid_features(vgg, masked(x, mask_s), perceptual.scales)
                for x in (outputs.reconstructed, batch.source.image)
            ]
            value = uniform(perceptual_loss(perceptual, *own_levels), rows)
            terms.append(("self_perceptual", share * perceptual.weight, value))
    if config.face_features.weight:
        network = networks.face or _identity_features(networks)
        points = need(batch.driver.points, "face_features", "driver_points in the batch")
        value = uniform(feature_loss(network(same, points), network(driver, points)), rows)
        terms.append(("face_features", config.face_features.weight, value))
    for i, name in enumerate(("eyes", "mouth")):
        region: RegionLoss = getattr(config, name)
        if region.weight:
            mask = _region(batch, i, name)
            value = region.pixel * pixel_loss(same, driver, mask)
            if levels is not None and region.perceptual:
                value += region.perceptual * region_perceptual_loss(
                    perceptual, levels[0][0], levels[1][0], mask
                )
            terms.append((name, region.weight, value))
    return terms


def _identity_features(networks):
    network = need(networks.identity, "face_features", "VGGFace or an identity network")
    return lambda images, points: network(images, points)[1]


def _region(batch: FaceBatch, index: int, name: str) -> Float[Array, "b h w 1"]:
    if batch.driver.regions is not None:
        return batch.driver.regions[..., index : index + 1]
    points = need(batch.driver.points, name, "driver_regions or driver_points in the batch")
    return region_masks(points, batch.driver.image.shape[1])[..., index : index + 1]


def _adversarial(config, batch, outputs, networks, step) -> list[Term]:
    adversarial = config.adversarial
    if not adversarial.weight and not adversarial.feature_matching:
        return []
    discriminator = need(networks.discriminator, "adversarial", "a discriminator")
    inputs = networks.discriminator_inputs or discriminator_inputs
    real, fake = (discriminator(x) for x in inputs(config, batch, outputs.driven))
    on = 1.0 if step is None else jnp.where(step >= adversarial.start, 1.0, 0.0)
    rows = len(batch.identity)
    matching = uniform(feature_matching(real, fake), rows)
    return [
        ("adversarial", on * adversarial.weight, uniform(generator_loss(fake), rows)),
        ("feature_matching", on * adversarial.feature_matching, matching),
    ]


def _disentanglement(config, batch, outputs, networks, step) -> list[Term]:
    present, terms = different_identity_mask(batch.identity), []
    mask = batch.source.mask if config.masked else None
    if config.contrast.weight:
        # The sample whose partner this one is was decoded with this one's motion: its cross image
        # makes the second positive pair, its own driver is the other person's clip.
        dyn = outputs.driver_motion.dyn
        decoded_with = (outputs.dyn_cross, dyn, present)
        cross, other, apart = (partner(x, back=True) for x in decoded_with)
        value = contrast_loss(config.contrast, outputs.dyn_same, cross, dyn, other, apart)
        terms.append(("contrast", config.contrast.weight, value))
    if config.consistency.weight:
        consistency = config.consistency
        a, b = (masked(x, mask) for x in (outputs.consistency_a, outputs.consistency_b))
        value = consistency.pixel * pixel_loss(a, b, mask)
        if consistency.perceptual:
            vgg = need(networks.vgg, "consistency.perceptual", "the weights of VGG", "")
            levels = [pyramid_features(vgg, x, config.perceptual.scales) for x in (a, b)]
            seen = uniform(perceptual_loss(config.perceptual, *levels), len(batch.identity))
            value += consistency.perceptual * seen
        weight = consistency.weight * _ramp(consistency.start, consistency.ramp, step)
        terms.append(("consistency", weight, value))
    if config.cross_identity.weight:
        cross = config.cross_identity
        network = need(networks.identity, "cross_identity", "an identity network")
        points_s = need(batch.source.points, "cross_identity", "source_points in the batch")
        points_d = need(batch.driver.points, "cross_identity", "driver_points in the batch")
        # The face has the other driver's pose, so it lies where that driver's face does.
        image = outputs.cross_driven
        if config.masked and batch.driver.mask is not None:
            image = masked(image, partner(batch.driver.mask))
        source = network(masked(batch.source.image, mask), points_s)[0]
        value = identity_loss(source, network(image, partner(points_d))[0], present)
        terms.append(("cross_identity", cross.weight * _ramp(cross.start, cross.ramp, step), value))
    return terms


def _pose_labels(config, batch, outputs) -> list[Term]:
    if not config.pose.weight or batch.source.pose is None:
        return []
    present = batch.pose_present
    present = jnp.ones(len(batch.identity)) if present is None else present
    values = [
        pose_loss(config.pose, motion.pose, label, present)
        for motion, label in (
            (outputs.source_motion, batch.source.pose),
            (outputs.driver_motion, batch.driver.pose),
        )
    ]
    return [("pose", config.pose.weight, average(values))]


def average(losses: Sequence[Means]) -> Means:
    """The mean of several losses, still as totals and counts."""
    return sum(losses, Means((), (), ())) * (1 / len(losses))


def _ramp(start: int, ramp: int, step: Int[Array, ""] | int | None) -> Scalar | float:
    """0 up to step `start`, then linearly to 1 over `ramp` steps."""
    if step is None:
        return 1.0
    return jnp.clip((step - start + 1) / max(ramp, 1), 0.0, 1.0)


def need(thing: T | None, key: str, what: str, leaf: str = ".weight") -> T:
    """The network or the part of a batch that the loss `key` needs. Raises UserError for None."""
    if thing is None:
        raise UserError(
            f"the loss face_losses.{key} needs {what}, which is missing: give it, or "
            f"switch the loss off with --set face_losses.{key}{leaf}=0"
        )
    return thing
