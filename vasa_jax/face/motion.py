"""Motion encoders: head pose z_pose and facial dynamics z_dyn from two separate ResNet-18s."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config import FaceConfig
from vasa_jax.face.conv import Style
from vasa_jax.face.resnet import ResNet, global_mean, resize_image
from vasa_jax.face.sampling import sample_volume
from vasa_jax.typing import Array, Float, Image, Pose

__all__ = [
    "LOG_SCALE_LIMIT",
    "ROTATION_LIMIT",
    "TRANSLATION_LIMIT",
    "DynEncoder",
    "PoseEncoder",
    "face_crop",
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
    style: Style = Style()

    @nn.compact
    def __call__(self, image: Image) -> Pose:
        c = self.config
        image = resize_image(image, c.motion_image_size)
        x = global_mean(
            ResNet(c.motion_width, c.motion_depths, style=self.style, name="trunk")(image)
        )
        zeros = nn.initializers.zeros
        x = jnp.tanh(nn.Dense(7, kernel_init=zeros, bias_init=zeros, name="head")(x))
        return Pose(
            rotation=ROTATION_LIMIT * x[:, :3],
            translation=TRANSLATION_LIMIT * x[:, 3:6],
            log_scale=LOG_SCALE_LIMIT * x[:, 6:],
        )


FACE_CENTRE, FACE_HALF = (0.0, 0.28), 0.48
"""Brows to an open mouth's chin in canonical coordinates, under the labels' convention
(`data_pipeline/clip.py`): over 600 renders eyes lie at (+-0.18, 0.01), mouth corners at
(+-0.17, 0.43), within 0.06."""


def face_crop(image: Image, pose: Pose, size: int) -> Float[Array, "b size size 3"]:
    """What a head's eyes and mouth look like where its place, size and roll are taken away.

    Only the in-plane part of the pose is undone. No gradient reaches the pose.
    """
    pose = jax.lax.stop_gradient(pose)
    # Not far above the crop's own resolution, or samples would skip pixels.
    image = resize_image(image, min(image.shape[1], 3 * size))
    axis = jnp.linspace(-FACE_HALF, FACE_HALF, size)
    x, y = jnp.meshgrid(axis + FACE_CENTRE[0], axis + FACE_CENTRE[1])
    grow, roll = jnp.exp(pose.log_scale[:, :, None]), pose.rotation[:, 2, None, None]
    cos, sin = grow * jnp.cos(roll), grow * jnp.sin(roll)
    place = pose.translation[:, :, None, None]
    grid = jnp.stack([cos * x - sin * y + place[:, 0], sin * x + cos * y + place[:, 1]], -1)
    grid = jnp.concatenate([grid, jnp.zeros_like(grid[..., :1])], -1)
    return sample_volume(image[:, None], grid[:, None], "border")[:, 0]


class DynEncoder(nn.Module):
    """Face image -> z_dyn (b, dyn_dim), float32: lips, expression, gaze, blinks.

    pose: of the same image; looked at under `dyn_crop` alone.
    """

    config: FaceConfig
    style: Style = Style()

    @nn.compact
    def __call__(self, image: Image, pose: Pose) -> Float[Array, "b dyn"]:
        c = self.config
        if c.dyn_crop:
            image = face_crop(image, pose, c.dyn_crop)
        else:
            image = resize_image(image, c.motion_image_size)
        x = global_mean(
            ResNet(c.motion_width, c.motion_depths, style=self.style, name="trunk")(image)
        )
        return nn.Dense(c.dyn_dim, name="head")(x)
