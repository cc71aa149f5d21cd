"""Motion encoders: head pose z_pose and facial dynamics z_dyn from two separate ResNet-18s."""

import flax.linen as nn
import jax.numpy as jnp

from vasa_jax.config import FaceConfig
from vasa_jax.face.conv import LayerOptions
from vasa_jax.face.resnet import ResNet, global_mean, resize_image
from vasa_jax.typing import Array, Float, Image, Pose

__all__ = [
    "LOG_SCALE_LIMIT",
    "ROTATION_LIMIT",
    "TRANSLATION_LIMIT",
    "DynEncoder",
    "PoseEncoder",
]

ROTATION_LIMIT = 2.0
"""Radians; beyond a profile view (1.57), where the slope of tanh is still above a third."""
TRANSLATION_LIMIT = 1.0
"""Half the cube."""
LOG_SCALE_LIMIT = 1.0
"""A face between 0.37 and 2.7 times the canonical size."""


class PoseEncoder(nn.Module):
    """Face image -> Pose, bounded by tanh to the limits above.

    The last layer starts at zero: every head starts frontal, so the volume is not thrown about
    before the appearance is learned. The trunk gets its first gradient at the second step.
    """

    config: FaceConfig
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, image: Image) -> Pose:
        c = self.config
        image = resize_image(image, c.motion_image_size)
        x = global_mean(
            ResNet(c.motion_width, c.motion_depths, options=self.options, name="trunk")(image)
        )
        zeros = nn.initializers.zeros
        x = jnp.tanh(nn.Dense(7, kernel_init=zeros, bias_init=zeros, name="head")(x))
        return Pose(
            rotation=ROTATION_LIMIT * x[:, :3],
            translation=TRANSLATION_LIMIT * x[:, 3:6],
            log_scale=LOG_SCALE_LIMIT * x[:, 6:],
        )


class DynEncoder(nn.Module):
    """Face image -> z_dyn (b, dyn_dim), float32: lips, expression, gaze, blinks."""

    config: FaceConfig
    options: LayerOptions = LayerOptions()
    size: int | None = None
    """Side, pixels, that images are resized to; None: `motion_image_size`."""

    @nn.compact
    def __call__(self, image: Image) -> Float[Array, "b dyn"]:
        c = self.config
        image = resize_image(image, self.size or c.motion_image_size)
        x = global_mean(
            ResNet(c.motion_width, c.motion_depths, options=self.options, name="trunk")(image)
        )
        return nn.Dense(c.dyn_dim, name="head")(x)
