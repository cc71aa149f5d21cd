"""Losses of transfers between people against their rendered ground truth (`transfer_targets`)."""

import jax
import jax.numpy as jnp

from vasa_jax.config import FaceLossConfig
from vasa_jax.extensions.compositing.background import foreground_loss
from vasa_jax.extensions.compositing.blend import CompositeOutput
from vasa_jax.extensions.compositing.flow_losses import (
    blend_mask_loss,
    disocclusion_loss,
    flow_loss,
)
from vasa_jax.extensions.compositing.resample import shrink
from vasa_jax.extensions.face_patches import patch_loss
from vasa_jax.extensions.transfer_targets import TransferTargets
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.forward import FaceNetworks, FaceOutputs
from vasa_jax.face.image_losses import (
    FeatureNet,
    perceptual_loss,
    pixel_loss,
    pyramid_features,
    region_loss,
)
from vasa_jax.face.losses import average, need
from vasa_jax.means import Means, Term, uniform
from vasa_jax.typing import Array, Float, Image, Motion

__all__ = [
    "has_transfers",
    "layer_assignment_loss",
    "motion_weighted_loss",
    "transfer_loss",
    "transfer_motions",
    "transfer_terms",
]

Points = Float[Array, "b 5 2"]
NEAREST = 0.02
"""Temperature of `layer_assignment_loss`: a difference of errors (means of RGB in [0, 1])."""


def transfer_motions(source: Motion, driver: Motion) -> dict[str, Motion]:
    """What else `face.forward` decodes for these losses: the driver's pose or dynamics alone."""
    return {
        "pose_only": Motion(driver.pose, source.dyn),
        "dyn_only": Motion(source.pose, driver.dyn),
    }


def has_transfers(config: FaceLossConfig, batch: FaceBatch) -> bool:
    """Whether these losses are on and the data has their targets."""
    return bool(config.transfer.weight) and batch.targets is not None


def transfer_terms(
    config: FaceLossConfig, batch: FaceBatch, outputs: FaceOutputs, networks: FaceNetworks
) -> list[Term]:
    """All losses of `config.transfer`; none where the data has no targets.

    Raises UserError when a loss with a weight lacks a network or something in the batch.
    """
    if not has_transfers(config, batch):
        return []
    weights, vgg = config.transfer, networks.vgg
    if weights.perceptual:
        need(vgg, "transfer.perceptual", "the weights of VGG", "")
    assert outputs.decoded is not None  # by `forward`, with the motions of `transfer_motions`
    driven, pose_only, dyn_only = (
        outputs.decoded[name] for name in ("driven", "pose_only", "dyn_only")
    )
    targets: TransferTargets = batch.targets
    renders = [
        ("same", driven.image, batch.driver.image, batch.driver.points),
        ("pose_only", pose_only.image, targets.pose_only, batch.driver.points),
        ("dyn_only", dyn_only.image, targets.dyn_only, batch.source.points),
    ]
    terms: list[Term] = [
        (name, weights.weight, transfer_loss(config, image, target, points, vgg))
        for name, image, target, points in renders[1:]
    ]
    if weights.motion_weighted:
        value = motion_weighted_loss(batch, driven.image, pose_only.image, dyn_only.image)
        terms.append(("moved", weights.weight * weights.motion_weighted, value))
    if weights.patches:
        network = need(vgg, "transfer.patches", "the weights of VGG", "")
        values = [
            patch_loss(config.perceptual, network, image, target, _patch_points(points))
            for _, image, target, points in renders
        ]
        terms.append(("patches", weights.weight * weights.patches, average(values)))
    made = [
        (one.image if one.parts is None else one.parts.decoded, one.parts, target, points, flow)
        for one, (_, _, target, points), flow in zip(
            (driven, pose_only, dyn_only), renders, targets.flows, strict=True
        )
    ]
    terms += _decoded_terms(config, made)
    if driven.parts is not None and driven.parts.blend_logits is not None:
        terms += _blend_terms(config, made)
        terms += _portrait_terms(config, batch, driven.parts)
    return terms


def _patch_points(points: Points | None) -> Points:
    return need(points, "transfer.patches", "source_points and driver_points in the batch", "")


def _decoded_terms(config, made) -> list[Term]:
    """Of what the decoder draws. made: (decoded, parts, target, points, flow) of each transfer."""
    weights = config.transfer
    if not weights.decoded:
        return []

    def loss(decoded, parts, target, points, flow):
        target = shrink(target, decoded.shape[1])
        if flow is None:
            return transfer_loss(config, decoded, target, points, None)
        background = parts is not None and parts.has_background
        return disocclusion_loss(decoded, target, flow, points, weights.regions, background)

    values = [loss(*one) for one in made]
    return [("drawn", weights.weight * weights.decoded, average(values))]


def _blend_terms(config, made) -> list[Term]:
    """Of the masks and the flow of composited images."""
    weights, terms = config.transfer, []

    def add(name, weight, values):
        terms.append((name, weights.weight * weight, average(values)))

    if weights.layer_assignment:
        values = [
            layer_assignment_loss(config, p.layers, p.blend_logits, target, points)
            for _, p, target, points, _ in made
        ]
        add("choice", weights.layer_assignment, values)
    for name, key, loss, regions in (
        ("flow", "flow", flow_loss, weights.flow_regions),
        ("shares", "blend_masks", blend_mask_loss, weights.regions),
    ):
        weight = getattr(weights, key)
        if weight:
            need(made[0][-1], f"transfer.{key}", "groups of swaps that hold correspondences", "")
            add(name, weight, [loss(p, flow, points, regions) for _, p, _, points, flow in made])
    return terms


def _portrait_terms(config, batch: FaceBatch, parts: CompositeOutput) -> list[Term]:
    """Of what is found in the portrait: the person."""
    weights, terms = config.transfer, []
    if weights.foreground and parts.foreground_logits is not None:
        mask = need(batch.source.mask, "transfer.foreground", "source_mask in the batch", "")
        value = uniform(foreground_loss(parts.foreground_logits, mask), len(mask))
        terms.append(("person", weights.weight * weights.foreground, value))
    return terms


def transfer_loss(
    config: FaceLossConfig,
    drawn: Image,
    target: Image,
    points: Points | None,
    vgg: FeatureNet | None,
) -> Means:
    """One transfer against its render, background included; not weighted by `transfer.weight`.

    points: of the pose that both show; None leaves the regions out. vgg: None leaves the perceptual
    term out.
    """
    weights = config.transfer
    total = weights.pixel * pixel_loss(drawn, target)
    if vgg is not None and weights.perceptual:
        levels = [pyramid_features(vgg, x, config.perceptual.scales) for x in (drawn, target)]
        value = perceptual_loss(config.perceptual, *levels)
        total += weights.perceptual * uniform(value, len(drawn))
    return total + region_loss(jnp.abs(drawn - target), points, weights.regions)


def layer_assignment_loss(
    config: FaceLossConfig,
    layers: Float[Array, "b h w n 3"],
    blend_logits: Float[Array, "b h w n"],
    target: Image,
    points: Points | None,
) -> Means:
    """Cross-entropy of the blend to its layers' nearness to the render.

    A pixel counts as much as its layers' errors differ; eyes and mouth once more, by
    `transfer.regions`. Unweighted. A mask that is nearly 0 gets hardly any gradient from the image
    itself, and the portrait's pixels, better everywhere in the beginning, would stay on for good.
    The gradient reaches the masks alone.
    """
    error = jnp.abs(layers - target[..., None, :]).mean(-1)
    error = jax.lax.stop_gradient(error)
    nearest = jax.nn.softmax(-error / NEAREST, -1)
    entropy = -(nearest * jax.nn.log_softmax(blend_logits, -1)).sum(-1, keepdims=True)
    cost = (error.max(-1, keepdims=True) - error.min(-1, keepdims=True)) * entropy
    return uniform(cost.mean(), len(cost)) + region_loss(cost, points, config.transfer.regions)


def motion_weighted_loss(
    batch: FaceBatch, driven: Image, pose_only: Image, dyn_only: Image
) -> Means:
    """L1 of three transfers, weighted by how much the expression changes their renders.

    A mouth is a percent of an image: a face that never moves hardly costs the other losses
    anything. Two renders of one head pose differ by the expression alone. Unweighted.
    """
    targets: TransferTargets = batch.targets
    pairs = (
        (driven, batch.driver.image, targets.pose_only),
        (pose_only, targets.pose_only, batch.driver.image),
        (dyn_only, targets.dyn_only, batch.source.image),
    )
    total = Means((), (), ())
    for drawn, target, other in pairs:
        change = jax.lax.stop_gradient(jnp.abs(target - other).mean(-1, keepdims=True))
        total += pixel_loss(drawn, target, change) * (1 / len(pairs))
    return total
