"""Changing resolution without transposed convolutions: pooling and x2 upsampling, channels-last."""

import jax.numpy as jnp
import numpy as np

from vasa_jax.typing import Array, Float

__all__ = ["adaptive_avg_pool", "avg_pool2", "linear_up2", "nearest_up2"]


def avg_pool2(x: Float[Array, "..."], axes: tuple[int, ...]) -> Float[Array, "..."]:
    """Mean of neighbouring pairs along each of `axes` (whose lengths must be even).

    One axis after another is exact, since a mean of equal-sized means is the mean.
    """
    for axis in axes:
        shape = x.shape
        x = x.reshape(*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :])
        x = (_take(x, axis + 1, 0) + _take(x, axis + 1, 1)) * jnp.asarray(0.5, x.dtype)
    return x


def _take(x, axis: int, index: int):
    return x[(slice(None),) * axis + (index,)]


def linear_up2(x: Float[Array, "..."], axes: tuple[int, ...]) -> Float[Array, "..."]:
    """Twice the length along each of `axes`, linear between pixel centres, clamped at the edges.

    Equal to torch's `interpolate(scale_factor=2, align_corners=False)`: every output lies a
    quarter pixel from its nearest input, so the weights are 3/4 and 1/4 throughout.
    """
    near, far = jnp.asarray(0.75, x.dtype), jnp.asarray(0.25, x.dtype)
    for axis in axes:
        size, shape = x.shape[axis], x.shape
        first, last = _slice(x, axis, 0, 1), _slice(x, axis, size - 1, size)
        before = jnp.concatenate([first, _slice(x, axis, 0, size - 1)], axis)
        after = jnp.concatenate([_slice(x, axis, 1, size), last], axis)
        x = jnp.stack([near * x + far * before, near * x + far * after], axis + 1)
        x = x.reshape(*shape[:axis], 2 * size, *shape[axis + 1 :])
    return x


def _slice(x, axis: int, start: int, stop: int):
    return x[(slice(None),) * axis + (slice(start, stop),)]


def nearest_up2(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Every pixel becomes a 2x2 square."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, 2, w, 2, c))
    return x.reshape(b, 2 * h, 2 * w, c)


def adaptive_avg_pool(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b s s c"]:
    """Average over a size x size partition; windows overlap where lengths do not divide.

    The windows are torch AdaptiveAvgPool2d's: row i covers floor(i n / s) .. ceil((i + 1) n / s).
    """
    rows = jnp.asarray(_pool_matrix(x.shape[1], size), x.dtype)
    cols = jnp.asarray(_pool_matrix(x.shape[2], size), x.dtype)
    return jnp.einsum("bhwc,ih,jw->bijc", x, rows, cols)


def _pool_matrix(length: int, size: int) -> np.ndarray:
    matrix = np.zeros((size, length), np.float32)
    for i in range(size):
        start, stop = i * length // size, -(-(i + 1) * length // size)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix
