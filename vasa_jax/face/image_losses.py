"""Losses that compare images: pixels, VGG pyramids, eyes and mouth."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vasa_jax.config.losses import PerceptualLoss
from vasa_jax.means import Means, uniform, weighted
from vasa_jax.typing import Array, Float, Image

Mask = Float[Array, "b h w 1"]
Features = tuple[Float[Array, "b _ _ _"], ...]
FeatureNet = Callable[[Image], Features]
MIN_SIDE = 16
"""Smallest image side that still reaches VGG's fifth block."""


def halve(images: Float[Array, "b h w c"]) -> Float[Array, "b _ _ c"]:
    """Half the size with an anti-alias filter (triangle of two output pixels, as torch's)."""
    b, height, width, c = images.shape
    return jax.image.resize(images, (b, height // 2, width // 2, c), "linear", antialias=True)


def masked(images: Image, mask: Mask | None) -> Image:
    """Images with a black background; the identity without a mask."""
    return images if mask is None else images * mask


def pixel_loss(
    prediction: Float[Array, "b h w c"],
    target: Float[Array, "b h w c"],
    mask: Mask | None = None,
) -> Means:
    """mean |prediction - target|; with a mask, the mean over its area (0 where that is empty)."""
    difference = jnp.abs(prediction - target)
    if mask is None:
        return uniform(jnp.mean(difference), len(difference))
    return weighted(difference, mask)


def pyramid_features(network: FeatureNet, images: Image, scales: int) -> tuple[Features, ...]:
    """Feature maps of the images and of their halves; scales under MIN_SIDE pixels are left out."""
    levels = []
    for i in range(scales):
        images = halve(images) if i else images
        if i and min(images.shape[1:3]) < MIN_SIDE:
            break
        levels.append(network(images))
    return tuple(levels)


def perceptual_loss(
    config: PerceptualLoss, prediction: tuple[Features, ...], target: tuple[Features, ...]
) -> Float[Array, ""]:
    """sum over scales and taps of tap_weight * mean |f(prediction) - f(target)| (FOMM, section 4).

    Takes the two results of `pyramid_features`; unweighted by `config.weight`.
    """
    total = jnp.zeros(())
    for a, b in zip(prediction, target, strict=True):
        for weight, x, y in zip(config.tap_weights, a, b, strict=True):
            total += weight * jnp.mean(jnp.abs(x - y))
    return total


def region_perceptual_loss(
    config: PerceptualLoss, prediction: Features, target: Features, mask: Mask
) -> Means:
    """`perceptual_loss` at full size, features weighted by the mask resized to their map.

    The features are the whole image's, so their receptive fields reach beyond the mask.
    """
    total = Means((), (), ())
    for weight, x, y in zip(config.tap_weights, prediction, target, strict=True):
        small = jax.image.resize(mask, (*x.shape[:3], 1), "linear", antialias=True)
        # Normalised by the mask's area on this map, however few cells it covers.
        total += weight * weighted(jnp.abs(x - y), small, least=1e-3)
    return total


def region_masks(points: Float[Array, "b 5 2"], size: int) -> Float[Array, "b {size} {size} 2"]:
    """Soft masks of (eyes, mouth) from the five face points (fractions of the image).

    Gaussian blobs measured by the distance d from the eyes' middle to the mouth's: eyes 0.20 d,
    mouth 0.40 d wide and 0.22 d high (standard deviations), the mouth along its corners; peak 1.
    """
    points = jax.lax.stop_gradient(points)
    axis = (jnp.arange(size) + 0.5) / size
    place = jnp.stack(jnp.meshgrid(axis, axis), -1)[None]
    left, right, mouth = points[:, 0], points[:, 1], points[:, 3:].mean(1)
    unit = jnp.linalg.norm((left + right) / 2 - mouth, axis=-1) + 1e-6
    along = points[:, 4] - points[:, 3]
    along = along / (jnp.linalg.norm(along, axis=-1, keepdims=True) + 1e-6)

    def blob(centre: Array, wide: float, high: float) -> Array:
        offset = (place - centre[:, None, None]) / unit[:, None, None, None]
        x = jnp.einsum("bhwi,bi->bhw", offset, along)
        y = offset[..., 1] * along[:, None, None, 0] - offset[..., 0] * along[:, None, None, 1]
        return jnp.exp(-0.5 * ((x / wide) ** 2 + (y / high) ** 2))

    eyes = jnp.maximum(blob(left, 0.2, 0.2), blob(right, 0.2, 0.2))
    return jnp.stack([eyes, blob(mouth, 0.4, 0.22)], -1)


def region_loss(
    cost: Float[Array, "b h w c"],
    points: Float[Array, "b 5 2"] | None,
    share: float,
    weight: Mask | None = None,
) -> Means:
    """`share` times the mean of a cost over eyes and mouth together (`region_masks`), by a further
    weight of each pixel if one is given; nothing without points or for a share of 0."""
    if points is None or not share:
        return Means((), (), ())
    mask = region_masks(points, cost.shape[1]).max(-1, keepdims=True)
    return share * weighted(cost, mask if weight is None else mask * weight)


def box_mask(
    boxes: Float[Array, "b 4"], size: int, softness: float = 0.02
) -> Float[Array, "b {size} {size} 1"]:
    """A soft mask of a box (x0, y0, x1, y1) in fractions of the image; 1/2 on its edges."""
    axis = (jnp.arange(size) + 0.5) / size

    def inside(low: Array, high: Array) -> Array:
        rise = jax.nn.sigmoid((axis - low[:, None]) / softness)
        return rise * jax.nn.sigmoid((high[:, None] - axis) / softness)

    x, y = inside(boxes[:, 0], boxes[:, 2]), inside(boxes[:, 1], boxes[:, 3])
    return (y[:, :, None] * x[:, None, :])[..., None]


def feature_loss(prediction: Features, target: Features) -> Float[Array, ""]:
    """mean |a - b| averaged over feature maps; the target has no gradient."""
    losses = [
        jnp.mean(jnp.abs(a - jax.lax.stop_gradient(b)))
        for a, b in zip(prediction, target, strict=True)
    ]
    return sum(losses, jnp.zeros(())) / len(losses)
