"""Trilinear sampling of feature volumes: identity grids and a differentiable `sample_volume`."""

import functools
import itertools

import jax
import jax.numpy as jnp

from vasa_jax.typing import Array, Float

__all__ = ["from_front", "identity_grid", "sample_volume"]

PADDINGS = ("zeros", "border")


def from_front(volume: Float[Array, "b d h w c"]) -> Float[Array, "b h w m"]:
    """A volume as the picture plane sees it: all slices' channels at each pixel, m = d * c, the
    slice running slowest."""
    b, d, h, w, c = volume.shape
    return jnp.moveaxis(volume, 1, 3).reshape(b, h, w, d * c)


def identity_grid(depth: int, height: int, width: int) -> Float[Array, "d h w 3"]:
    """The (x, y, z) position of every voxel; the outermost voxel centres lie at -1 and 1."""
    z, y, x = jnp.meshgrid(
        *(jnp.linspace(-1.0, 1.0, n, dtype=jnp.float32) for n in (depth, height, width)),
        indexing="ij",
    )
    return jnp.stack([x, y, z], -1)


def sample_volume(
    volume: Float[Array, "v d h w c"], grid: Float[Array, "b i j k 3"], padding: str = "zeros"
) -> Float[Array, "b i j k c"]:
    """Read `volume` at `grid` by trilinear interpolation (torch grid_sample, align_corners=True).

    grid holds (x, y, z) in [-1, 1] for (w, h, d). padding "zeros" reads 0 outside, "border" the
    nearest voxel. A volume of batch 1 serves every grid of the batch without being copied.
    Weights and sums are float32 and the result has the volume's type; the gradient of the volume
    is summed in float32 also for a bfloat16 volume, where a bfloat16 sum would lose small terms.

    Raises ValueError for another padding or for batches that do not fit.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding {padding!r} is not one of {', '.join(PADDINGS)}")
    if volume.shape[0] not in (1, grid.shape[0]):
        raise ValueError(f"volume batch {volume.shape[0]} is neither 1 nor {grid.shape[0]}")
    return _sample(volume, grid, padding)


def _axis(coordinate, size: int, padding: str):
    """Per axis: the two neighbours' indices, their weights, and the weights' derivatives."""
    slope: Array | float = 0.5 * (size - 1)
    position = (coordinate.astype(jnp.float32) + 1.0) * slope
    if padding == "border":
        inside = (position > 0) & (position < size - 1)
        slope = jnp.where(inside, slope, 0.0)
        position = jnp.clip(position, 0.0, size - 1.0)
    else:  # far points only need to stay outside, and within the range of an int32
        position = jnp.clip(position, -2.0, size + 1.0)
    low = jnp.floor(position)
    fraction = position - low
    index = low.astype(jnp.int32)
    triples = []
    for i, weight, sign in ((index, 1.0 - fraction, -1.0), (index + 1, fraction, 1.0)):
        valid = (i >= 0) & (i < size)
        triples.append(
            (
                jnp.clip(i, 0, size - 1),
                jnp.where(valid, weight, 0.0),
                jnp.where(valid, sign * slope, 0.0),
            )
        )
    return triples


def _corners(shape, grid, padding: str):
    """Eight (flat index, x triple, y triple, z triple), one per corner of the enclosing cell."""
    v, d, h, w, _ = shape
    x = _axis(grid[..., 0], w, padding)
    y = _axis(grid[..., 1], h, padding)
    z = _axis(grid[..., 2], d, padding)
    offset = 0 if v == 1 else (jnp.arange(v, dtype=jnp.int32) * (d * h * w))[:, None, None, None]
    for cz, cy, cx in itertools.product(z, y, x):
        yield offset + (cz[0] * h + cy[0]) * w + cx[0], cx, cy, cz


def _gather(flat, index):
    return flat.at[index].get(mode="promise_in_bounds").astype(jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sample(volume, grid, padding):
    flat = volume.reshape(-1, volume.shape[-1])
    total = 0.0
    for index, cx, cy, cz in _corners(volume.shape, grid, padding):
        total = total + (cx[1] * cy[1] * cz[1])[..., None] * _gather(flat, index)
    return total.astype(volume.dtype)


def _sample_forward(volume, grid, padding):
    # Only the inputs are kept: the eight gathered corners would cost eight volumes of memory.
    return _sample(volume, grid, padding), (volume, grid)


def _sample_backward(padding, residuals, cotangent):
    volume, grid = residuals
    cotangent = cotangent.astype(jnp.float32)
    flat = volume.reshape(-1, volume.shape[-1])
    d_flat = jnp.zeros(flat.shape, jnp.float32)
    dx = dy = dz = 0.0
    for index, cx, cy, cz in _corners(volume.shape, grid, padding):
        weight = cx[1] * cy[1] * cz[1]
        d_flat = d_flat.at[index].add(weight[..., None] * cotangent, mode="promise_in_bounds")
        dot = jnp.sum(_gather(flat, index) * cotangent, -1)
        dx = dx + dot * cx[2] * cy[1] * cz[1]
        dy = dy + dot * cx[1] * cy[2] * cz[1]
        dz = dz + dot * cx[1] * cy[1] * cz[2]
    d_grid = jnp.stack([dx, dy, dz], -1).astype(grid.dtype)
    return d_flat.reshape(volume.shape).astype(volume.dtype), d_grid


_sample.defvjp(_sample_forward, _sample_backward)
