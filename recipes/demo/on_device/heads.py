"""Turned heads for the pose encoder alone out of a pool on the device: `pose_images` in JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from recipes.demo.on_device import pictures
from recipes.demo.on_device.labels import draw_places, labels_of, mirrored
from recipes.demo.on_device.pool import GroupArrays, rows_at
from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.heads import COLOURS, SPREAD, HeadDraws, blur_before
from vasa_jax.data_pipeline.loading.pairs import POSE
from vasa_jax.perception.align import warp
from vasa_jax.training.pose_step import PoseBatch
from vasa_jax.typing import Array, Int, Key, Pose

__all__ = ["draw_heads", "heads_of", "sample_heads"]


def sample_heads(
    pool: GroupArrays, count: Int[Array, ""], key: Key[Array, ""], batch: int, config: Config
) -> PoseBatch:
    """A batch of `batch` heads, each of any picture of the first `count` (at least 1) groups."""
    where, rest = jax.random.split(key)
    places = draw_places(pool, count, where, batch)
    return heads_of(pool, places, draw_heads(rest, batch), config.face.motion_image_size)


def draw_heads(key: Key[Array, ""], batch: int) -> HeadDraws:
    """What `heads_of` needs (`loading.heads.draw_head`)."""
    turn, colours, flip = jax.random.split(key, 3)
    return HeadDraws(
        jax.random.normal(turn, (batch, 4)) * SPREAD.astype(np.float32),
        pictures.draw_colours(colours, COLOURS, batch),
        jax.random.bernoulli(flip, shape=(batch,)),
    )


def heads_of(
    pool: GroupArrays, places: tuple[Int[Array, " b"], ...], draws: HeadDraws, size: int
) -> PoseBatch:
    """The heads of given pictures (`labels.draw_places`) under given draws, `size` px."""
    labels = mirrored(labels_of(pool, *places), draws.flip)
    image = pictures.mirror(rows_at(pool.images, *places), draws.flip).astype(jnp.float32) / 255
    image = pictures.recolour(image, draws.colours)
    sigma = blur_before(image.shape[1], size)
    if sigma:
        image = pictures.blur(image, sigma)
    turn = draws.similarity()
    return PoseBatch(
        warp(image, turn.sampling(image.shape[1], size), size),
        turn.pose(Pose(*(labels[name] for name in POSE))),
    )
