"""Patches of eyes and mouth, upright and enlarged, for perceptual and adversarial losses.

VASA-1's losses see whole images. VGG's first block sees a few pixels, and a mouth is 20 of an
image's 128; on a patch its features are of teeth and lids, at a tenth of the arithmetic.
"""

import jax
import jax.numpy as jnp

from vasa_jax.config.losses import FaceLossConfig, PerceptualLoss
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.image_losses import FeatureNet, perceptual_loss
from vasa_jax.face.losses import discriminator_inputs, need
from vasa_jax.means import Means, uniform
from vasa_jax.perception.align import warp
from vasa_jax.typing import Array, Float, Image

__all__ = ["PATCH", "discriminator_patches", "face_patches", "patch_loss"]

PATCH = 48
"""Side of a patch, pixels, for pictures of 256 px and less; it grows with larger ones."""
EYES_SIDE, MOUTH_SIDE = 1.7, 1.3
"""Sides in distances from the middle of the eyes to that of the mouth."""


def face_patches(images: Image, points: Float[Array, "b 5 2"]) -> Float[Array, "b2 p p 3"]:
    """The eyes of all images, then their mouths. points: eyes, nose, corners of the mouth, in
    fractions of the image; upright is along the line from eye to eye, or from corner to corner."""
    size = PATCH * max(1, images.shape[1] // 256)
    points = jax.lax.stop_gradient(points) * images.shape[1] - 0.5
    eyes, mouth = points[:, :2], points[:, 3:]
    unit = jnp.linalg.norm(eyes.mean(1) - mouth.mean(1), axis=-1) + 1e-6
    matrices = [
        _square(pair, side * unit / size, size)
        for pair, side in ((eyes, EYES_SIDE), (mouth, MOUTH_SIDE))
    ]
    return jnp.concatenate([warp(images, matrix, size) for matrix in matrices])


def _square(
    pair: Float[Array, "b 2 2"], step: Float[Array, " b"], size: int
) -> Float[Array, "b 2 3"]:
    """[A | t] from a patch's pixels, `step` image pixels apart, to the image's: its middle is that
    of the pair, its rows run along it."""
    along = pair[:, 1] - pair[:, 0]
    x, y = jnp.moveaxis(along / (jnp.linalg.norm(along, axis=-1, keepdims=True) + 1e-6), -1, 0)
    linear = step[:, None, None] * jnp.stack([x, -y, y, x], -1).reshape(-1, 2, 2)
    middle = jnp.full((2,), (size - 1) / 2)
    shift = pair.mean(1) - linear @ middle
    return jnp.concatenate([linear, shift[..., None]], -1)


def patch_loss(
    config: PerceptualLoss,
    vgg: FeatureNet,
    drawn: Image,
    target: Image,
    points: Float[Array, "b 5 2"],
) -> Means:
    """L1 of VGG features of eyes and mouth, the mean over both patches. Unweighted."""
    features = [(vgg(face_patches(image, points)),) for image in (drawn, target)]
    return uniform(perceptual_loss(config, *features), len(drawn))


def discriminator_patches(
    config: FaceLossConfig, batch: FaceBatch, driven: Image
) -> tuple[Float[Array, "n p p 3"], Float[Array, "n p p 3"]]:
    """`face.losses.discriminator_inputs` of eyes and mouths (`adversarial.face_patches`)."""
    what = "driver_points in the batch for its face_patches"
    points = need(batch.driver.points, "adversarial", what)
    real, generated = discriminator_inputs(config, batch, driven)
    return face_patches(real, points), face_patches(generated, points)
