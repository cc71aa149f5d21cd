"""MegaPortraits' augmentations (section 4 and appendix) on uint8 pictures.

All draws come from the generator that is given, so the same generator gives the same bytes.
"""

from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from vasa_jax.typing import Array, Float, PortraitArray

AnyArray = TypeVar("AnyArray", np.ndarray, Array)
LUMA = np.array([0.299, 0.587, 0.114])
_I, _Q = [0.59590059, -0.27455667, -0.32134392], [0.21153661, -0.52273617, 0.31119955]
# RGB to YIQ (NTSC, FCC 1953): hue is the angle, saturation the length in the plane of I and Q.
YIQ = np.array([LUMA, _I, _Q])
# What a turn of that plane keeps, turns along and turns across, as maps of RGB.
_GREY, _ALONG, _ACROSS = (
    np.linalg.inv(YIQ) @ part @ YIQ
    for part in (
        np.diag([1.0, 0, 0]),
        np.diag([0.0, 1, 1]),
        np.array([[0, 0, 0], [0, 0, -1], [0, 1.0, 0]]),
    )
)
CONTROL = 5
"""Control points of the thin-plate warp along each side of the picture."""
_NO_MAP: Any = None
"""OpenCV's second map where the first holds x and y; its stubs do not know that it may be None."""
LATTICE = 64
"""Cells along each side between which the warp is interpolated."""


class Jitter(NamedTuple):
    """Strength of colour jitter: each factor is drawn from 1 ± its value, hue from ± (turns)."""

    brightness: float
    contrast: float
    saturation: float
    hue: float


MILD = Jitter(0.1, 0.1, 0.1, 0.02)
STRONG = Jitter(0.4, 0.4, 0.4, 0.1)


def colour_matrices(factors: Float[AnyArray, "*b 4"]) -> Float[AnyArray, "*b 3 4"]:
    """The affine maps of RGB in [0, 1] that change hue (turns of the YIQ plane), saturation,
    contrast (about mid grey) and brightness, in this order: one pass over a picture, and they do
    not depend on it, so that two frames stay alike.

    factors: brightness, contrast, saturation and hue (`Jitter`), in numpy or JAX.
    """
    xp: Any = factors.__array_namespace__()
    brightness, contrast, saturation, hue = (factors[..., k, None, None] for k in range(4))
    angle = 2 * np.pi * hue
    turned = xp.cos(angle) * _ALONG + xp.sin(angle) * _ACROSS
    linear = brightness * contrast * (_GREY + saturation * turned)
    shift = brightness * 0.5 * (1 - contrast) * np.ones((3, 1))
    return xp.concatenate([linear, shift], axis=-1).astype(np.float32)


def colour_matrix(
    brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0
) -> Float[np.ndarray, "3 4"]:
    """One of `colour_matrices`."""
    return colour_matrices(np.array([brightness, contrast, saturation, hue]))


def colour_limits(jitter: Jitter) -> Float[np.ndarray, "2 4"]:
    """Least and greatest brightness, contrast, saturation and hue."""
    spread = np.array(jitter)
    middle = np.array([1, 1, 1, 0])
    return np.stack([middle - spread, middle + spread])


def draw_colours(rng: np.random.Generator, jitter: Jitter) -> Float[np.ndarray, "3 4"]:
    """The colour matrix of one draw."""
    return colour_matrices(rng.uniform(*colour_limits(jitter)))


def recolour(image: PortraitArray, matrix: Float[np.ndarray, "3 4"]) -> PortraitArray:
    """The picture under a colour matrix, rounded and clipped once."""
    import cv2

    return cv2.transform(image, matrix * np.array([1, 1, 1, 255], np.float32))


@lru_cache(maxsize=4)
def plate_weights() -> tuple[np.ndarray, np.ndarray]:
    """What gives the warp out of displacements at the control points, and what takes their affine
    part away. Bookstein (1989): U(r) = r^2 log r and a plane, exact at the control points."""
    side = np.linspace(0, 1, CONTROL)
    control = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    cells = np.linspace(0, 1, LATTICE + 1)
    lattice = np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2)

    def kernel(a, b):
        square = ((a[:, None] - b[None]) ** 2).sum(-1)
        return 0.5 * square * np.log(np.maximum(square, 1e-300))

    def plane(points):
        return np.concatenate([np.ones((len(points), 1)), points], axis=1)

    count = len(control)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel(control, control)
    system[:count, count:] = plane(control)
    system[count:, :count] = plane(control).T
    basis = np.concatenate([kernel(lattice, control), plane(lattice)], axis=1)
    weights = basis @ np.linalg.inv(system)[:, :count]
    return weights, np.eye(count) - plane(control) @ np.linalg.pinv(plane(control))


def thin_plate(displacement: Float[np.ndarray, "25 2"], size: int) -> Float[np.ndarray, "s s 2"]:
    """Where each pixel is taken from, (x, y) in pixels: the identity plus the thin-plate spline
    through `displacement` (shares of the picture's width and height) at the 5 x 5 control points,
    which lie evenly on the square from its corner (0, 0) to (1, 1), row by row.

    The spline is exact on a lattice and bilinear in between.
    """
    import cv2

    weights, _ = plate_weights()
    field = (weights @ displacement * size).reshape(LATTICE + 1, LATTICE + 1, 2)
    pixels, cells = _pixels(size)
    return pixels + cv2.remap(
        field.astype(np.float32), cells, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


@lru_cache(maxsize=4)
def _pixels(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of every pixel, in pixels and in cells of the lattice."""
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(np.float32)
    return pixels, (pixels + np.float32(0.5)) * np.float32(LATTICE / size)


def draw_warp(rng: np.random.Generator, spread: float) -> Float[np.ndarray, "25 2"]:
    """Random displacements of the control points, with standard deviation `spread` (shares of the
    picture), less their best affine fit: the shape of the face changes, the pose of the head and
    its place do not."""
    return plate_weights()[1] @ rng.normal(0, spread, (CONTROL**2, 2))


def warp(image: PortraitArray, places: Float[np.ndarray, "s s 2"]) -> PortraitArray:
    """The picture with each pixel taken from its place, bilinear, mirrored at its borders."""
    import cv2

    return cv2.remap(image, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def keep_box(
    image: PortraitArray, box: Float[np.ndarray, "4"], fill: Float[np.ndarray, "3"]
) -> PortraitArray:
    """The picture inside of a box (left, top, right, bottom, shares), one colour outside."""
    import cv2

    size = np.array([image.shape[1], image.shape[0]] * 2)
    left, top, right, bottom = np.clip(np.round(box * size), 0, size).astype(int)
    out = np.empty_like(image)
    colour = [float(value) for value in np.round(fill)]
    cv2.rectangle(out, (0, 0), (image.shape[1], image.shape[0]), colour, cv2.FILLED)
    out[top:bottom, left:right] = image[top:bottom, left:right]
    return out
