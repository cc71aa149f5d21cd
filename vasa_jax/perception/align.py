"""Aligned face crops through which gradients reach the image, and templates to align to.

Face points are five, in ArcFace's order (the eye on the image's left, the eye on its right, nose
tip, left and right mouth corner), as fractions of the image's width and height: pixel i has its
centre at (i + 0.5) / width, so the same points serve every resolution.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.typing import Array, Float, Image, UInt8


class Alignment(NamedTuple):
    """Where the points lie in a square chip of `size` pixels, and whose way of fitting is meant."""

    template: tuple[tuple[float, float], ...]
    size: int
    dlib: bool = False


def _dlib_chip(*points: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    # The mean face fills a unit square; a padding of 0.25 is added on each side.
    return tuple((150 * (x + 0.25) / 1.5, 150 * (y + 0.25) / 1.5) for x, y in points)


ARCFACE = Alignment(
    (
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ),
    112,
)
"""The five face points in InsightFace's 112 px chip."""
DLIB = Alignment(
    _dlib_chip(
        (0.225492, 0.215990),
        (0.754762, 0.215990),
        (0.490127, 0.515625),
        (0.254149, 0.780233),
        (0.726104, 0.780233),
    ),
    150,
    True,
)
"""The five face points in dlib's 150 px chip, from its 68-point mean face; an eye is the mean of
its six points."""
VGGFACE = Alignment(tuple((x * 224 / 150, y * 224 / 150) for x, y in DLIB.template), 224)
"""VGGFace's 224 px chip: a whole face with a margin, as dlib's (Parkhi et al. 2015 widen a
detector's box)."""
DLIB_CORNERS = Alignment(
    _dlib_chip(
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ),
    150,
    True,
)
"""dlib's own five points: outer and inner corner of the eye on the image's right, the same of the
one on its left, base of the nose. For checks against dlib itself."""


def similarity(
    source: Float[Array, "b n 2"], target: Float[Array, "*b n 2"]
) -> Float[Array, "b 2 3"]:
    """The rotation, scale and shift that bring `source` nearest to `target` (least squares).

    Umeyama's solution without reflection; in two dimensions it is one complex ratio, so no SVD.
    Returns [A | t] with target = A source + t, without a gradient: the crop is where the face is,
    it must not become a way to satisfy a loss.
    """
    target = jnp.broadcast_to(jnp.asarray(target, jnp.float32), source.shape)
    source = jax.lax.stop_gradient(source.astype(jnp.float32))
    source_mean, target_mean = source.mean(1), target.mean(1)
    x, u = source - source_mean[:, None], target - target_mean[:, None]
    # Coincident points have no scale: the tiny floor keeps the matrix finite.
    power = jnp.maximum(jnp.sum(x * x, (1, 2)), 1e-12)
    cosine = jnp.sum(x * u, (1, 2)) / power
    sine = jnp.sum(x[..., 0] * u[..., 1] - x[..., 1] * u[..., 0], 1) / power
    linear = jnp.stack([cosine, -sine, sine, cosine], -1).reshape(-1, 2, 2)
    shift = target_mean - jnp.einsum("bij,bj->bi", linear, source_mean)
    return jax.lax.stop_gradient(jnp.concatenate([linear, shift[..., None]], -1))


def invert(matrix: Float[Array, "b 2 3"]) -> Float[Array, "b 2 3"]:
    """The inverse of a similarity [A | t]."""
    a, c = matrix[:, 0, 0], matrix[:, 1, 0]
    power = jnp.maximum(a * a + c * c, 1e-12)
    linear = jnp.stack([a, c, -c, a], -1).reshape(-1, 2, 2) / power[:, None, None]
    shift = -jnp.einsum("bij,bj->bi", linear, matrix[:, :, 2])
    return jnp.concatenate([linear, shift[..., None]], -1)


def warp(
    images: Float[Array, "b h w c"], matrix: Float[Array | np.ndarray, "b 2 3"], size: int
) -> Float[Array, "b {size} {size} c"]:
    """Bilinear samples of `images` at matrix (x, y, 1) for every chip pixel (x, y), in pixels.

    Pixel centres are at whole numbers and points outside the image take its nearest edge
    pixel's colour, as `cv2.warpAffine` with WARP_INVERSE_MAP and BORDER_REPLICATE. The gradient
    reaches the images, in float32.
    """
    row, column = jnp.mgrid[:size, :size].astype(jnp.float32)
    chip = jnp.stack([column, row, jnp.ones_like(row)], -1)
    # Positions in float32 exactly: a tensor-float product would move samples by tenths of a pixel.
    points = jnp.einsum("bij,hwj->bhwi", matrix, chip, precision=jax.lax.Precision.HIGHEST)
    return sample(images, points)


def sample(
    images: Float[Array, "b h w c"] | UInt8[Array, "b h w c"], points: Float[Array, "b i j 2"]
) -> Float[Array, "b i j c"]:
    """Bilinear samples of `images` at points (x, y) in pixels, as `warp` takes them: float32, also
    of bytes."""
    height, width = images.shape[1:3]
    x = jnp.clip(points[..., 0], 0.0, width - 1.0)
    y = jnp.clip(points[..., 1], 0.0, height - 1.0)
    left = jnp.clip(jnp.floor(x).astype(jnp.int32), 0, max(width - 2, 0))
    top = jnp.clip(jnp.floor(y).astype(jnp.int32), 0, max(height - 2, 0))
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    flat = images.astype(jnp.float32).reshape(images.shape[0], height * width, -1)

    def at(rows: Array, columns: Array) -> Array:
        index = (rows * width + columns).reshape(images.shape[0], -1, 1)
        return jnp.take_along_axis(flat, index, axis=1).reshape(*rows.shape, -1)

    right, bottom = jnp.minimum(left + 1, width - 1), jnp.minimum(top + 1, height - 1)
    upper = at(top, left) * (1 - fx) + at(top, right) * fx
    lower = at(bottom, left) * (1 - fx) + at(bottom, right) * fx
    return upper * (1 - fy) + lower * fy


def chip_to_image(points: Float[Array, "b n 2"], alignment: Alignment) -> Float[Array, "b 2 3"]:
    """The fixed matrix from chip pixels to image pixels for face points in image pixels.

    InsightFace fits in chip pixels. dlib fits in image pixels, spans size * scale - 1 image pixels
    with the chip's first and last pixel, and so shifts its middle by half a pixel; done the same
    here, because the network was trained on such chips.
    """
    template = jnp.broadcast_to(jnp.asarray(alignment.template, jnp.float32), points.shape)
    if not alignment.dlib:
        return invert(similarity(points, template))
    matrix = similarity(template, jax.lax.stop_gradient(points))
    linear, shift = matrix[:, :, :2], matrix[:, :, 2]
    middle = jnp.full((2,), alignment.size / 2)
    centre = shift + linear @ middle
    scale = jnp.linalg.norm(linear[:, :, 0], axis=-1)[:, None, None]
    size = alignment.size
    linear = linear * (size * scale - 1) / ((size - 1) * jnp.maximum(scale, 1e-6))
    return jnp.concatenate([linear, (centre - linear @ (middle - 0.5))[..., None]], -1)


def aligned_crop(
    images: Image, points: Float[Array, "b n 2"], alignment: Alignment, shrink: int = 1
) -> Float[Array, "b _ _ 3"]:
    """Square face chips in which `points` (fractions of the image) lie on the template.

    shrink: average blocks of this many pixels first, so that a chip much smaller than the face is
    not aliased; it must divide the image's sides.
    """
    b, height, width, _ = images.shape
    if shrink > 1:
        height, width = height // shrink, width // shrink
        images = images.reshape(b, height, shrink, width, shrink, 3).mean((2, 4))
    pixels = points * jnp.asarray([width, height], jnp.float32) - 0.5
    return warp(images, chip_to_image(pixels, alignment), alignment.size)
