"""Exact swaps as targets: what synthetic data alone can give to the disentanglement.

A swap batch becomes a `FaceBatch` whose driver is the true picture of the source's person with the
driver's motion, while the motion encoder sees the other person (`driver_view`). So every
reconstruction loss is a supervised cross-identity transfer, and no identity can leak through z.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.face.batch import FaceBatch, SwapBatch
from vasa_jax.face.image_losses import (
    FeatureNet,
    perceptual_loss,
    pixel_loss,
    pyramid_features,
    region_loss,
)
from vasa_jax.loss_config import FaceLossConfig
from vasa_jax.means import Means, uniform
from vasa_jax.typing import Array, Bool, Float, Image

__all__ = ["choice_loss", "exact_loss", "from_swaps", "moved_loss"]

NEAREST = 0.02
"""Errors (means of RGB in [0, 1]) that differ by this are told apart."""


def from_swaps(swaps: SwapBatch, own: Bool[np.ndarray | Array, " b"]) -> FaceBatch:
    """The face batch of exact swaps, in numpy on the host or in JAX on a device.

    own: samples whose motion is read from the source's own person (self-reenactment), not from
    the driver's.
    """
    seen = swaps.driver.image if swaps.driver_view is None else swaps.driver_view
    own_view = swaps.swap.image if swaps.swap_view is None else swaps.swap_view
    source, driver = swaps.source, swaps.swap
    xp = own.__array_namespace__()
    ones = xp.ones(len(own), xp.float32)
    has_gaze = source.gaze is not None and driver.gaze is not None
    return FaceBatch(
        source=source.image,
        driver=driver.image,
        identity=swaps.source_identity,
        source_view=swaps.source_view,
        driver_view=xp.where(own[:, None, None, None], own_view, seen),
        source_mask=source.mask,
        driver_mask=driver.mask,
        source_points=source.points,
        driver_points=driver.points,
        source_pose=source.pose,
        driver_pose=driver.pose,
        pose_present=ones,
        source_gaze=source.gaze,
        driver_gaze=driver.gaze,
        gaze_present=ones if has_gaze else None,
        source_arkit=source.arkit,
        driver_arkit=driver.arkit,
        pose_only=swaps.pose_only.image,
        dyn_only=swaps.dyn_only.image,
        driver_flow=swaps.swap_flow,
        pose_only_flow=swaps.pose_only_flow,
        dyn_only_flow=swaps.dyn_only_flow,
    )


def exact_loss(
    config: FaceLossConfig,
    drawn: Image,
    target: Image,
    points: Float[Array, "b 5 2"] | None,
    vgg: FeatureNet | None,
) -> Means:
    """One transfer against its exact render, background included; unweighted by `exact.weight`.

    points: of the pose that both show; None leaves the regions out. vgg: None, the perceptual term.
    """
    exact = config.exact
    total = exact.pixel * pixel_loss(drawn, target)
    if vgg is not None and exact.perceptual:
        levels = [pyramid_features(vgg, x, config.perceptual.scales) for x in (drawn, target)]
        value = perceptual_loss(config.perceptual, *levels)
        total += exact.perceptual * uniform(value, len(drawn))
    return total + region_loss(jnp.abs(drawn - target), points, exact.regions)


def choice_loss(
    config: FaceLossConfig,
    layers: Float[Array, "b h w n 3"],
    shares: Float[Array, "b h w n"],
    target: Image,
    points: Float[Array, "b 5 2"] | None,
) -> Means:
    """Cross-entropy of a composed picture's shares to the layers' nearness to the exact render.

    A pixel counts as much as its layers' errors differ; eyes and mouth once more, by
    `exact.regions`. Unweighted. A share that is nearly 0 gets hardly any gradient from the picture
    itself, and the portrait's pixels, better everywhere in the beginning, would stay on for good.
    The gradient reaches the shares alone.
    """
    error = jnp.abs(layers - target[..., None, :]).mean(-1)
    error = jax.lax.stop_gradient(error)
    nearest = jax.nn.softmax(-error / NEAREST, -1)
    entropy = -(nearest * jax.nn.log_softmax(shares, -1)).sum(-1, keepdims=True)
    cost = (error.max(-1, keepdims=True) - error.min(-1, keepdims=True)) * entropy
    return uniform(cost.mean(), len(cost)) + region_loss(cost, points, config.exact.regions)


def moved_loss(batch: FaceBatch, same: Image, pose_only: Image, dyn_only: Image) -> Means:
    """L1 of three transfers where, and as much as, the expression changes their exact renders.

    A mouth is a percent of a picture: a face that never moves hardly costs the other losses
    anything. Of two renders in one pose all that differs is the expression. Unweighted.
    """
    pairs = (
        (same, batch.driver, batch.pose_only),
        (pose_only, batch.pose_only, batch.driver),
        (dyn_only, batch.dyn_only, batch.source),
    )
    total = Means((), (), ())
    for drawn, target, other in pairs:
        change = jax.lax.stop_gradient(jnp.abs(target - other).mean(-1, keepdims=True))
        total += pixel_loss(drawn, target, change) * (1 / len(pairs))
    return total
