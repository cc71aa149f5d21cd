"""Linear resampling of images and fields that keeps their outermost values in place."""

import jax.numpy as jnp
import numpy as np

from vasa_jax.typing import Array, Float

__all__ = ["enlarge", "shrink"]


def enlarge(x: Float[Array, "b i j k"], size: int) -> Float[Array, "b size size k"]:
    """Linear interpolation with align_corners=True. Fields of positions live on such grids
    (`identity_grid`): an identity stays an identity."""
    rows, columns = (jnp.asarray(_weights(n, size)) for n in x.shape[1:3])
    return jnp.einsum("si,bijk,tj->bstk", rows, x, columns, precision="highest")


def shrink(x: Float[Array, "b i i k"], size: int) -> Float[Array, "b size size k"]:
    """Mean over the area of each new pixel, on the grid of `enlarge`; no-op at equal sizes."""
    if x.shape[1] == size:
        return x
    many = jnp.asarray(_areas(x.shape[1], size))
    return jnp.einsum("si,bijk,tj->bstk", many, x, many, precision="highest")


def _areas(many: int, few: int) -> Float[np.ndarray, "f m"]:
    place, half = np.linspace(0, many - 1, few)[:, None], (many - 1) / (few - 1) / 2
    first, pixel = np.maximum(place - half, -0.5), np.arange(many)
    last = np.minimum(place + half, many - 0.5)
    part = np.clip(np.minimum(last, pixel + 0.5) - np.maximum(first, pixel - 0.5), 0, 1)
    return (part / part.sum(1, keepdims=True)).astype(np.float32)


def _weights(few: int, many: int) -> Float[np.ndarray, "m f"]:
    place = np.linspace(0, few - 1, many)[:, None]
    return np.maximum(0, 1 - np.abs(place - np.arange(few))).astype(np.float32)
