"""Images for the pose encoder from a pool on the device: `data.pose_images` in JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from recipes.demo.on_device import image_ops
from recipes.demo.on_device.labels import labels_of, mirrored, sample_cells
from recipes.demo.on_device.pool import GroupArrays, rows_at
from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.pairs import POSE
from vasa_jax.data_pipeline.loading.pose_examples import (
    COLOURS,
    SPREAD,
    PoseAugmentation,
    blur_before,
)
from vasa_jax.perception.align import warp
from vasa_jax.training.pose_trainer import PoseBatch
from vasa_jax.typing import Array, Int, Key, Pose

__all__ = ["pose_images_of", "sample_augmentations", "sample_pose_images"]


def sample_pose_images(
    pool: GroupArrays, count: Int[Array, ""], key: Key[Array, ""], batch: int, config: Config
) -> PoseBatch:
    """`batch` examples, each of a random image of the first `count` (at least 1) groups."""
    where, rest = jax.random.split(key)
    places = sample_cells(pool, count, where, batch)
    return pose_images_of(
        pool, places, sample_augmentations(rest, batch), config.face.motion_image_size
    )


def sample_augmentations(key: Key[Array, ""], batch: int) -> PoseAugmentation:
    """Augmentations for `pose_images_of` (`pose_examples.sample_pose_augmentation`)."""
    turn, colours, flip = jax.random.split(key, 3)
    return PoseAugmentation(
        jax.random.normal(turn, (batch, 4)) * SPREAD.astype(np.float32),
        image_ops.draw_colours(colours, COLOURS, batch),
        jax.random.bernoulli(flip, shape=(batch,)),
    )


def pose_images_of(
    pool: GroupArrays, places: tuple[Int[Array, " b"], ...], draws: PoseAugmentation, size: int
) -> PoseBatch:
    """Given images (`labels.sample_cells`) and poses under augmentations, `size` px."""
    labels = mirrored(labels_of(pool, *places), draws.flip)
    image = image_ops.mirror(rows_at(pool.images, *places), draws.flip).astype(jnp.float32) / 255
    image = image_ops.recolour(image, draws.colours)
    sigma = blur_before(image.shape[1], size)
    if sigma:
        image = image_ops.blur(image, sigma)
    turn = draws.transform()
    return PoseBatch(
        warp(image, turn.sampling(image.shape[1], size), size),
        turn.pose(Pose(*(labels[name] for name in POSE))),
    )
