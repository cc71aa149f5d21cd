"""Stage 1's objective: the weighted sum of all losses on what was drawn from a batch.

Reconstruction, perceptual, adversarial and contrast terms are MegaPortraits'; l_consist and
l_cross_id are VASA-1's (section 3.1). The trainer calls
`vasa_jax.face.forward.forward` inside its loss function, then `face_terms`, and trains the
discriminator on `judged_pair`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vasa_jax.errors import UserError
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.compose import shrink
from vasa_jax.face.discriminator import (
    discriminator_loss,
    feature_matching,
    generator_loss,
)
from vasa_jax.face.exact import choice_loss, exact_loss, moved_loss
from vasa_jax.face.flow import flow_loss, hidden_loss, share_loss
from vasa_jax.face.forward import FaceNetworks, FaceOutputs, partner, strangers
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
    arkit_loss,
    contrast_loss,
    gaze_loss,
    identity_loss,
    pose_loss,
)
from vasa_jax.face.mouth import mouth_loss
from vasa_jax.face.patches import face_patches, patch_loss
from vasa_jax.face.plate import person_loss
from vasa_jax.loss_config import FaceLossConfig, RegionLoss
from vasa_jax.means import Means, Term, add_up, uniform
from vasa_jax.typing import Array, Float, Image, Int

__all__ = ["discriminator_loss", "face_loss", "face_terms", "judged_pair"]

Scalar = Float[Array, ""]


def judged_pair(
    config: FaceLossConfig, batch: FaceBatch, same: Image
) -> tuple[Float[Array, "n _ _ 3"], Float[Array, "n _ _ 3"]]:
    """(real, fake) as the discriminator sees them in both players' turns; detached nowhere."""
    mask = batch.driver_mask if config.masked else None
    pair = masked(batch.driver, mask), masked(same, mask)
    if not config.adversarial.face_patches:
        return pair
    what = "driver_points in the batch for its face_patches"
    points = _need(batch.driver_points, "adversarial", what)
    return face_patches(pair[0], points), face_patches(pair[1], points)


def face_loss(
    config: FaceLossConfig,
    batch: FaceBatch,
    outputs: FaceOutputs,
    networks: FaceNetworks,
    step: Int[Array, ""] | int | None = None,
) -> tuple[Scalar, dict[str, Scalar]]:
    """The generator's total loss and each loss by name, all float32.

    The named scalars (`loss/pixel`, …) are unweighted; `loss/total` is the sum of weight * ramp *
    loss. See `face_terms`.
    """
    total, values = add_up(face_terms(config, batch, outputs, networks, step))
    return total, {f"loss/{name}": value for name, value in values.items()} | {"loss/total": total}


def face_terms(
    config: FaceLossConfig,
    batch: FaceBatch,
    outputs: FaceOutputs,
    networks: FaceNetworks,
    step: Int[Array, ""] | int | None = None,
) -> list[Term]:
    """The generator's losses, float32, with their weights. Their counts depend on the batch alone.

    step: the training step, for losses that start late; None counts them fully.
    Raises UserError when a loss with a weight lacks a network or something in the batch.
    """
    batch, outputs = jax.tree.map(_float32, (batch, outputs))
    return [
        *_reconstruction(config, batch, outputs, networks),
        *_adversarial(config, batch, outputs, networks, step),
        *_disentanglement(config, batch, outputs, networks, step),
        *_exact(config, batch, outputs, networks),
        *_labels(config, batch, outputs),
    ]


def _float32(x: Array) -> Array:
    return x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _reconstruction(config, batch, outputs, networks) -> list[Term]:
    mask_d, mask_s = (batch.driver_mask, batch.source_mask) if config.masked else (None, None)
    driver, same = masked(batch.driver, mask_d), masked(outputs.same, mask_d)
    share, perceptual = config.self_drive.weight, config.perceptual
    terms, rows = [], len(batch.identity)
    if config.pixel.weight:
        terms.append(("pixel", config.pixel.weight, pixel_loss(same, driver, mask_d)))
    if config.pixel.weight and share:
        value = pixel_loss(*(masked(x, mask_s) for x in (outputs.itself, batch.source)), mask_s)
        terms.append(("self_pixel", share * config.pixel.weight, value))
    levels = None
    if perceptual.weight:
        vgg = _need(networks.vgg, "perceptual", "the weights of VGG")
        levels = [pyramid_features(vgg, x, perceptual.scales) for x in (same, driver)]
        value = uniform(perceptual_loss(perceptual, *levels), rows)
        terms.append(("perceptual", perceptual.weight, value))
        if share:
            own = [
                pyramid_features(vgg, masked(x, mask_s), perceptual.scales)
                for x in (outputs.itself, batch.source)
            ]
            value = uniform(perceptual_loss(perceptual, *own), rows)
            terms.append(("self_perceptual", share * perceptual.weight, value))
    if config.face_features.weight:
        network = networks.face or _identity_features(networks)
        points = _need(batch.driver_points, "face_features", "driver_points in the batch")
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
    network = _need(networks.identity, "face_features", "VGGFace or an identity network")
    return lambda images, points: network(images, points)[1]


def _region(batch: FaceBatch, index: int, name: str) -> Float[Array, "b h w 1"]:
    if batch.driver_regions is not None:
        return batch.driver_regions[..., index : index + 1]
    points = _need(batch.driver_points, name, "driver_regions or driver_points in the batch")
    return region_masks(points, batch.driver.shape[1])[..., index : index + 1]


def _adversarial(config, batch, outputs, networks, step) -> list[Term]:
    adversarial = config.adversarial
    if not adversarial.weight and not adversarial.feature_matching:
        return []
    judge = _need(networks.judge, "adversarial", "a discriminator")
    real, fake = (judge(x) for x in judged_pair(config, batch, outputs.same))
    on = 1.0 if step is None else jnp.where(step >= adversarial.start, 1.0, 0.0)
    rows = len(batch.identity)
    matching = uniform(feature_matching(real, fake), rows)
    return [
        ("adversarial", on * adversarial.weight, uniform(generator_loss(fake), rows)),
        ("feature_matching", on * adversarial.feature_matching, matching),
    ]


def _disentanglement(config, batch, outputs, networks, step) -> list[Term]:
    present, terms = strangers(batch.identity), []
    mask = batch.source_mask if config.masked else None
    if config.contrast.weight:
        # Whom a driver's motion was lent to is the sample whose partner it is: its cross image
        # carries the motion, and the other clip is its as well.
        dyn = outputs.driver_motion.dyn
        lent = (outputs.dyn_cross, dyn, present)
        cross, other, apart = (partner(x, back=True) for x in lent)
        value = contrast_loss(config.contrast, outputs.dyn_same, cross, dyn, other, apart)
        terms.append(("contrast", config.contrast.weight, value))
    if config.consistency.weight:
        consistency = config.consistency
        pair = [masked(x, mask) for x in (outputs.consist_a, outputs.consist_b)]
        value = consistency.pixel * pixel_loss(*pair, mask)
        if consistency.perceptual:
            vgg = _need(networks.vgg, "consistency.perceptual", "the weights of VGG", "")
            levels = [pyramid_features(vgg, x, config.perceptual.scales) for x in pair]
            seen = uniform(perceptual_loss(config.perceptual, *levels), len(batch.identity))
            value += consistency.perceptual * seen
        weight = consistency.weight * _ramp(consistency.start, consistency.ramp, step)
        terms.append(("consistency", weight, value))
    if config.cross_identity.weight:
        cross = config.cross_identity
        network = _need(networks.identity, "cross_identity", "an identity network")
        points_s = _need(batch.source_points, "cross_identity", "source_points in the batch")
        points_d = _need(batch.driver_points, "cross_identity", "driver_points in the batch")
        # The drawn face has the other driver's pose, so it lies where that driver's face does.
        drawn = outputs.cross
        if config.masked and batch.driver_mask is not None:
            drawn = masked(drawn, partner(batch.driver_mask))
        source = network(masked(batch.source, mask), points_s)[0]
        value = identity_loss(source, network(drawn, partner(points_d))[0], present)
        terms.append(("cross_identity", cross.weight * _ramp(cross.start, cross.ramp, step), value))
    return terms


def _exact(config, batch, outputs, networks) -> list[Term]:
    if outputs.pose_only is None:
        return []
    vgg = networks.vgg
    if config.exact.perceptual:
        _need(vgg, "exact.perceptual", "the weights of VGG", "")
    renders = (
        ("pose_only", outputs.pose_only, batch.pose_only, batch.driver_points),
        ("dyn_only", outputs.dyn_only, batch.dyn_only, batch.source_points),
    )
    terms = [
        (name, config.exact.weight, exact_loss(config, picture, target, points, vgg))
        for name, picture, target, points in renders
    ]
    if config.exact.moved:
        value = moved_loss(batch, outputs.same, outputs.pose_only, outputs.dyn_only)
        terms.append(("moved", config.exact.weight * config.exact.moved, value))
    renders = (("same", outputs.same, batch.driver, batch.driver_points), *renders)
    if config.exact.patches:
        _need(vgg, "exact.patches", "the weights of VGG", "")
        _need(batch.driver_points, "exact.patches", "driver_points in the batch", "")
        values = [patch_loss(config.perceptual, vgg, *three) for _, *three in renders]
        terms.append(("patches", config.exact.weight * config.exact.patches, _average(values)))
    if outputs.parts is None:
        return terms
    flows = (batch.driver_flow, batch.pose_only_flow, batch.dyn_only_flow)
    made = [
        (part, target, points, flow)
        for part, (_, _, target, points), flow in zip(outputs.parts, renders, flows, strict=True)
    ]
    terms += _layers(config, made)
    person = outputs.parts[0].person
    if config.exact.person and person is not None:
        mask = _need(batch.source_mask, "exact.person", "source_mask in the batch", "")
        weight = config.exact.weight * config.exact.person
        terms.append(("person", weight, uniform(person_loss(person, mask), len(mask))))
    seen = outputs.parts[0].mouth_seen
    if config.exact.mouth_place and seen is not None:
        points = _need(batch.source_points, "exact.mouth_place", "source_points in the batch", "")
        weight = config.exact.weight * config.exact.mouth_place
        terms.append(("mouth_place", weight, uniform(mouth_loss(seen, points), len(points))))
    return terms


def _layers(config, made) -> list[Term]:
    """Losses of what composed pictures are made of. made: (parts, target, points, flow) of each."""
    exact, terms = config.exact, []

    def add(name, weight, losses):
        terms.append((name, exact.weight * weight, _average(losses)))

    def drawn_loss(part, target, points, flow):
        target = shrink(target, part.drawn.shape[1])
        if flow is None:
            return exact_loss(config, part.drawn, target, points, None)
        return hidden_loss(part.drawn, target, flow, points, exact.regions, part.has_plate)

    if exact.drawn:
        add("drawn", exact.drawn, [drawn_loss(*one) for one in made])
    if made[0][0].shares is None:
        return terms
    if exact.choice:
        losses = [choice_loss(config, p.layers, p.shares, t, points) for p, t, points, _ in made]
        add("choice", exact.choice, losses)
    for name, loss, regions in (
        ("flow", flow_loss, exact.flow_regions),
        ("shares", share_loss, exact.regions),
    ):
        weight = getattr(exact, name)
        if weight:
            _need(made[0][3], f"exact.{name}", "groups of swaps that tell places", "")
            losses = [loss(part, flow, points, regions) for part, _, points, flow in made]
            add(name, weight, losses)
    return terms


def _labels(config, batch, outputs) -> list[Term]:
    terms, frames = [], ("source", "driver")
    if config.pose.weight and batch.source_pose is not None:
        present = batch.pose_present
        present = jnp.ones(len(batch.identity)) if present is None else present
        values = [
            pose_loss(
                config.pose,
                getattr(outputs, f"{f}_motion").pose,
                getattr(batch, f"{f}_pose"),
                present,
            )
            for f in frames
        ]
        terms.append(("pose", config.pose.weight, _average(values)))
    if config.gaze.weight and batch.gaze_present is not None:
        values = []
        for f in frames:
            gaze = _need(getattr(outputs, f"{f}_gaze"), "gaze", "a gaze head's outputs")
            values.append(gaze_loss(gaze, getattr(batch, f"{f}_gaze"), batch.gaze_present))
        terms.append(("gaze", config.gaze.weight, _average(values)))
    if config.arkit.weight and batch.driver_arkit is not None:
        values = []
        for f in frames:
            arkit = _need(getattr(outputs, f"{f}_arkit"), "arkit", "an ARKit head's outputs")
            values.append(arkit_loss(config.arkit, arkit, getattr(batch, f"{f}_arkit")))
        terms.append(("arkit", config.arkit.weight, _average(values)))
    return terms


def _average(losses: Sequence[Means]) -> Means:
    return sum(losses, Means((), (), ())) * (1 / len(losses))


def _ramp(start: int, ramp: int, step: Int[Array, ""] | int | None) -> Scalar | float:
    """0 up to step `start`, then linearly to 1 over `ramp` steps."""
    if step is None:
        return 1.0
    return jnp.clip((step - start + 1) / max(ramp, 1), 0.0, 1.0)


def _need(thing, key: str, what: str, leaf: str = ".weight"):
    if thing is None:
        raise UserError(
            f"the loss face_losses.{key} needs {what}, which is missing: give it, or "
            f"switch the loss off with --set face_losses.{key}{leaf}=0"
        )
    return thing
