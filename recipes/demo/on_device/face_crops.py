"""Face crops for the dynamics encoder from a pool on the device: `data.face_crops` in JAX."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from recipes.demo.data.face_crops import (
    COLOURS,
    JITTER,
    NAMES,
    POINTS,
    CropAugmentation,
    cut_sampling,
    symmetric,
)
from recipes.demo.on_device import image_ops
from recipes.demo.on_device.labels import labels_of, mirrored, sample_cells
from recipes.demo.on_device.pool import GroupArrays, rows_at
from recipes.demo.stages.dyn_encoder_step import DynEncoderBatch
from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.pose_examples import InPlaneTransform
from vasa_jax.perception.align import sample
from vasa_jax.typing import Array, Float, Int, Key

__all__ = ["crops_of", "sample_augmentations", "sample_crops", "smooth_warps"]


def sample_crops(
    pool: GroupArrays, count: Int[Array, ""], key: Key[Array, ""], batch: int, config: Config
) -> DynEncoderBatch:
    """`batch` crops, each of a random image of the first `count` (at least 1) groups."""
    where, rest = jax.random.split(key)
    places = sample_cells(pool, count, where, batch)
    return crops_of(
        pool, places, sample_augmentations(rest, batch), config.face.extensions.dyn_crop
    )


def sample_augmentations(key: Key[Array, ""], batch: int) -> CropAugmentation:
    """Augmentations for `crops_of` (`data.face_crops.sample_crop_augmentation`)."""
    off, moves, colours, flip = jax.random.split(key, 4)
    return CropAugmentation(
        jax.random.normal(off, (batch, 4)) * JITTER.astype(np.float32),
        jax.random.normal(moves, (batch, POINTS, POINTS, 2)),
        image_ops.draw_colours(colours, COLOURS, batch),
        jax.random.bernoulli(flip, shape=(batch,)),
    )


def crops_of(
    pool: GroupArrays, places: tuple[Int[Array, " b"], ...], draws: CropAugmentation, size: int
) -> DynEncoderBatch:
    """The crops of given images (`labels.sample_cells`) under augmentations, `size` px."""
    labels, off = labels_of(pool, *places), draws.off
    where = InPlaneTransform(
        labels["rotation"][:, 2] + off[:, 0],
        labels["translation"][:, :2] + off[:, 1:3],
        labels["log_scale"][:, 0] + off[:, 3],
    )
    matrix = cut_sampling(where, pool.images.shape[-2], size)
    row, column = jnp.mgrid[:size, :size].astype(jnp.float32)
    pixels = jnp.stack([column, row], -1) + smooth_warps(draws.moves, size)
    points = jnp.einsum("bij,bhwj->bhwi", matrix[..., :2], pixels, precision=image_ops.EXACT)
    crop = sample(rows_at(pool.images, *places), points + matrix[:, None, None, :, 2]) / 255
    crop = image_ops.mirror(image_ops.recolour(crop, draws.colours), draws.flip)
    return DynEncoderBatch(crop, **mirrored({name: labels[name] for name in NAMES}, draws.flip))


def smooth_warps(
    moves: Float[Array | np.ndarray, "b 4 4 2"], size: int
) -> Float[Array, "b {size} {size} 2"]:
    """Smooth symmetric displacements (x, y) in pixels (`face_crops.smooth_warp`)."""
    return image_ops.along_both(_cubic(size), symmetric(moves, size))


@lru_cache(maxsize=4)
def _cubic(size: int) -> Float[np.ndarray, "{size} 4"]:
    """The weights of OpenCV's bicubic enlargement along one axis."""
    import cv2

    ones = np.eye(POINTS, dtype=np.float32)
    return cv2.resize(ones, (POINTS, size), interpolation=cv2.INTER_CUBIC)
