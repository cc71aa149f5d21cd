"""`data_pipeline.augment` in JAX: the same augmentations of whole batches, inside a jitted step.

Images stay float32 in [0, 1]; OpenCV rounds to bytes after every step and coordinates to 1/32 of a
pixel, so single high-contrast edges differ by up to 0.02.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.data_pipeline import augment
from vasa_jax.perception.align import sample
from vasa_jax.typing import Array, Bool, Float, Image, Key

__all__ = [
    "along_both",
    "blur",
    "draw_colours",
    "draw_warps",
    "keep_box",
    "mirror",
    "recolour",
    "shrink",
    "thin_plate",
    "warp",
]

AnyArray = Array | np.ndarray
"""Draws and matrices are made by code that numpy shares."""

EXACT = jax.lax.Precision.HIGHEST
"""Precision of products: TF32 would move samples by tenths of a pixel."""


def draw_colours(
    key: Key[Array, ""], jitter: augment.Jitter, batch: int
) -> Float[Array, "{batch} 3 4"]:
    """Independent colour matrices (`augment.draw_colours`)."""
    low, high = augment.colour_limits(jitter).astype(np.float32)
    return augment.colour_matrices(jax.random.uniform(key, (batch, 4), minval=low, maxval=high))


def recolour(images: Image, matrices: Float[AnyArray, "b 3 4"]) -> Image:
    """The images under their colour matrices, clipped once."""
    columns = jnp.moveaxis(matrices, 2, 0)[:, :, None, None]
    # Sums of products by hand: one pass together with what comes before and after.
    mixed = sum(images[..., k, None] * columns[k] for k in range(3)) + columns[3]
    return jnp.clip(mixed, 0.0, 1.0)


def mirror(images: Array, where: Bool[AnyArray, " b"]) -> Array:
    """Images (b, h, w, ...) of any type, mirrored where asked."""
    where = where.reshape(-1, *[1] * (images.ndim - 1))
    return jnp.where(where, images[:, :, ::-1], images)


def along_both(
    matrix: Float[np.ndarray, "n s"], field: Float[AnyArray, "b s s c"]
) -> Float[Array, "b n n c"]:
    """The same matrix applied along rows and along columns."""
    field = jnp.einsum("iy,byxc->bixc", matrix, field, precision=EXACT)
    return jnp.einsum("jx,bixc->bijc", matrix, field, precision=EXACT)


def draw_warps(key: Key[Array, ""], spread: float, batch: int) -> Float[Array, "{batch} 25 2"]:
    """Independent displacements of the control points (`augment.draw_warp`)."""
    draws = spread * jax.random.normal(key, (batch, augment.CONTROL**2, 2))
    keep = jnp.asarray(augment.plate_weights()[1], jnp.float32)
    return jnp.einsum("kl,blc->bkc", keep, draws, precision=EXACT)


def thin_plate(
    displacement: Float[AnyArray, "b 25 2"], size: int
) -> Float[Array, "b {size} {size} 2"]:
    """Source coordinates (x, y) of each pixel, in pixels (`augment.thin_plate`)."""
    side = augment.LATTICE + 1
    weights = jnp.asarray(augment.plate_weights()[0], jnp.float32)
    field = jnp.einsum("lk,bkc->blc", weights, displacement * size, precision=EXACT)
    field = field.reshape(-1, side, side, 2)
    field = along_both(_between_cells(size), field)
    row, column = jnp.mgrid[:size, :size].astype(jnp.float32)
    return jnp.stack([column, row], -1) + field


@lru_cache(maxsize=4)
def _between_cells(size: int) -> Float[np.ndarray, "{size} _"]:
    """Linear interpolation of the warp's lattice at the pixels of one axis, as a matrix."""
    at = (np.arange(size) + 0.5) * augment.LATTICE / size
    return np.maximum(1 - np.abs(at[:, None] - np.arange(augment.LATTICE + 1)), 0).astype("float32")


def warp(images: Float[Array, "b h w c"], places: Float[Array, "b i j 2"]) -> Array:
    """The images sampled at given coordinates, bilinear, mirrored about the centres of their
    outermost pixels (`augment.warp`)."""
    last = jnp.array([images.shape[2] - 1, images.shape[1] - 1], jnp.float32)
    # A triangle wave between the first and the last pixel.
    return sample(images, last - jnp.abs(last - jnp.mod(places, 2 * last)))


def keep_box(images: Image, boxes: Float[AnyArray, "b 4"], fill: Float[Array, "b 3"]) -> Image:
    """The images inside of boxes (left, top, right, bottom; shares), one colour outside."""
    height, width = images.shape[1:3]
    edges = jnp.round(boxes * np.array([width, height] * 2, np.float32))
    left, top, right, bottom = jnp.moveaxis(edges, 1, 0)[:, :, None]
    row, column = jnp.arange(height), jnp.arange(width)
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    inside = rows[:, :, None] & columns[:, None]
    return jnp.where(inside[..., None], images, fill[:, None, None])


def shrink(images: Float[Array, "b h w c"], size: int) -> Float[Array, "b {size} {size} c"]:
    """Square images or masks at a divisor of their size: each new pixel is the mean of those it
    covers (`loading.image_codec.shrink`). Raises ValueError for another size."""
    batch, large, _, channels = images.shape
    if large % size:
        raise ValueError(f"pictures of {large} px cannot be shrunk to {size} px by whole numbers")
    step = large // size
    return images.reshape(batch, size, step, size, step, channels).mean((2, 4))


def blur(images: Float[Array, "b s s c"], sigma: float) -> Float[Array, "b s s c"]:
    """A Gaussian blur as `cv2.GaussianBlur` makes it of bytes, mirrored at the borders."""
    return along_both(_bands(images.shape[1], sigma), images)


@lru_cache(maxsize=4)
def _bands(size: int, sigma: float) -> Float[np.ndarray, "{size} {size}"]:
    """The blur along one axis, as a matrix."""
    reach = (round(6 * sigma + 1) | 1) // 2  # OpenCV's for bytes
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    place = np.pad(np.arange(size), reach, mode="reflect")
    bands = np.zeros((size, size), np.float32)
    for shift, weight in enumerate(kernel / kernel.sum()):
        np.add.at(bands, (np.arange(size), place[shift : shift + size]), weight)
    return bands
