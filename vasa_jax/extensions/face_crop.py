"""A crop of eyes and mouth for the dynamics encoder, placed by the predicted head pose.

VASA-1's encoder sees the whole image. Where that has 128 px, an eye is 12 px wide; in a crop of 112
px, about twice that.
"""

import jax
import jax.numpy as jnp

from vasa_jax.face.resnet import resize_image
from vasa_jax.face.sampling import sample_volume
from vasa_jax.typing import Array, Float, Image, Pose

__all__ = ["face_crop"]

FACE_CENTRE, FACE_HALF = (0.0, 0.28), 0.48
"""Brows to an open mouth's chin in canonical coordinates, under the labels' convention
(`data_pipeline/clip.py`): over 600 renders eyes lie at (+-0.18, 0.01), mouth corners at
(+-0.17, 0.43), within 0.06."""


def face_crop(image: Image, pose: Pose, size: int) -> Float[Array, "b size size 3"]:
    """Brows to chin of each head; its place, size and roll are removed, yaw and pitch remain. No
    gradient reaches the pose."""
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
