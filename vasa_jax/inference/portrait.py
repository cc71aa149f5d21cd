"""From a photo to the square crop that the model sees, and back into the photo.

The crop is a square without rotation whose side follows the size of the face. Its proportions are
those of VASA-1's own published clips at 512 px, measured with our landmarks: the face's hull is
0.54 of the side (mean of width and height) and its centre lies at (0.50, 0.52).
"""

from typing import NamedTuple

import cv2
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.inference.continuation import fitted, sample
from vasa_jax.perception.face_detector import Face
from vasa_jax.typing import Float, PortraitArray

FACE_SHARE = 0.54
FACE_CENTRE = (0.50, 0.52)
FEATHER_SHARE = 0.12
"""Width of the soft edge of a pasted face, as a part of the crop's side."""
MAX_PASTE_SIDE = 4096
"""Larger photos are shrunk for --paste-back: H.264 players support at most 4096 px."""


class Crop(NamedTuple):
    """A square crop of a photo; pixel centres are whole numbers in both."""

    image: PortraitArray  # (size, size, 3)
    matrix: Float[np.ndarray, "2 3"]  # photo pixel (x, y, 1) -> crop pixel


class Portrait(NamedTuple):
    """A photo and its crop."""

    photo: np.ndarray
    crop: Crop


def choose_face(faces: list[Face], number: int | None = None) -> tuple[Face, str | None]:
    """The face to animate, and a line for the user where a choice was made for them.

    faces: largest first, as `detect_faces` gives them. number: 1 is the largest; None takes that.
    Raises UserError when there is no face, or not so many.
    """
    if not faces:
        raise UserError(
            "no face found; crop closer if it is small in the picture, use a sharper, more frontal "
            "photo, or --crop none to take the image as it is"
        )
    if number is None:
        note = f"{len(faces)} faces found, taking the largest (--face N chooses another)"
        return faces[0], note if len(faces) > 1 else None
    if not 1 <= number <= len(faces):
        raise UserError(f"there is no face {number}: {len(faces)} found, 1 is the largest")
    return faces[number - 1], None


def crop_portrait(image: PortraitArray, face: Face, size: int) -> Crop:
    """The square of `size` pixels around a face, by the module's proportions.

    It is moved and shrunk a little where it would reach beyond the photo (`continuation.fitted`).
    """
    return cut_square(image, *fitted_square(image, *face_square(face.landmarks)), size)


def fitted_square(
    image: PortraitArray, corner: Float[np.ndarray, "2"], side: float
) -> tuple[Float[np.ndarray, "2"], float]:
    """A `face_square`, moved and shrunk to lie within the image as far as `fitted` allows."""
    height, width = image.shape[:2]
    return fitted(corner, side, FACE_CENTRE, width, height)


def face_square(landmarks: Float[np.ndarray, "478 3"]) -> tuple[Float[np.ndarray, "2"], float]:
    """Left and top edge, and side, in pixels, of the crop around a face.

    Pixel centres are whole numbers; the outer edge of the first pixel is at -1/2.
    """
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    side = float((high - low).mean()) / FACE_SHARE
    return (low + high) / 2 - np.asarray(FACE_CENTRE) * side, side


def whole_image_crop(image: PortraitArray, size: int) -> Crop:
    """The whole image in a square, continued on the shorter sides (`continuation.sample`)."""
    height, width = image.shape[:2]
    side = float(max(height, width))
    # Pixel centres are whole numbers, so the outer edge of the first pixel lies at -0.5.
    corner = np.array([width - side, height - side]) / 2 - 0.5
    return cut_square(image, corner, side, size)


def cut_square(
    image: PortraitArray, corner: Float[np.ndarray, "2"], side: float, size: int
) -> Crop:
    """A square of an image, given by its left and top edge and its side, at `size` pixels.

    Beyond the image's edges it is continued (`continuation.sample`).
    """
    # Edge coordinates e (pixel i spans i - 1/2 .. i + 1/2): e_crop + 1/2 = (e - corner) * scale.
    scale = size / side
    offset = -np.asarray(corner, np.float64) * scale - 0.5
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float64)
    return Crop(_warp(image, matrix, size), matrix)


def _warp(image: PortraitArray, matrix: np.ndarray, size: int) -> PortraitArray:
    """Sample a square; averages first where it shrinks, since bilinear sampling skips pixels."""
    scale = float(matrix[0, 0])
    if scale < 0.5:
        factor = int(1 / scale)
        height, width = max(image.shape[0] // factor, 1), max(image.shape[1] // factor, 1)
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        shrink = np.array([width / image.shape[1], height / image.shape[0]])
        # Photo pixel x is pixel (x + 1/2) * shrink - 1/2 of the small one.
        linear = matrix[:, :2] / shrink
        offset = matrix[:, 2] + linear @ (0.5 - 0.5 * shrink)
        image, matrix = small, np.column_stack([linear, offset])
    return sample(image, matrix, size)


class PasteBack:
    """Blends generated crops into the photo they were cut from: `PasteBack(photo, crop)(frame)`.

    width, height: of the result, even; photos beyond 4096 px are shrunk. The blend is 1 in the
    middle of the crop and falls to 0 at its edge, so the photo outside stays exactly as it is.
    """

    def __init__(self, photo: PortraitArray, crop: Crop):
        scale = min(1.0, MAX_PASTE_SIDE / max(photo.shape[:2]))
        height, width = (max(2, int(n * scale) // 2 * 2) for n in photo.shape[:2])
        if scale < 1:
            photo = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        self.width, self.height = width, height
        self._photo = np.ascontiguousarray(photo[:height, :width])
        size = crop.image.shape[0]
        # Crop pixel -> result pixel, then moved to the corner of the part that changes.
        inverse = cv2.invertAffineTransform(crop.matrix)
        inverse = inverse * scale
        inverse[:, 2] += 0.5 * scale - 0.5
        self._box = x0, y0, x1, y1 = _bounds(inverse, size, width, height)
        self._matrix = inverse - np.array([[0, 0, x0], [0, 0, y0]])
        mask = cv2.warpAffine(
            _soft_square(size), self._matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR
        )
        self._mask = mask[..., None]
        self._under = self._photo[y0:y1, x0:x1].astype(np.float32) * (1 - self._mask)

    def __call__(self, frame: PortraitArray) -> PortraitArray:
        """The photo with one generated frame (size, size, 3) in its place."""
        x0, y0, x1, y1 = self._box
        flags = cv2.INTER_LINEAR
        placed = cv2.warpAffine(
            frame, self._matrix, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        result = self._photo.copy()
        blend = self._under + placed * self._mask
        result[y0:y1, x0:x1] = np.round(blend).astype(np.uint8)
        return result


def _bounds(matrix: np.ndarray, size: int, width: int, height: int) -> tuple[int, int, int, int]:
    corners = matrix @ np.array([[-0.5, size - 0.5], [-0.5, size - 0.5], [1, 1]])
    x0, y0 = np.clip(np.floor(corners[:, 0]).astype(int), 0, [width - 1, height - 1])
    x1, y1 = np.clip(np.ceil(corners[:, 1]).astype(int) + 1, [x0 + 1, y0 + 1], [width, height])
    return int(x0), int(y0), int(x1), int(y1)


def _soft_square(size: int) -> Float[np.ndarray, "s s"]:
    """1 inside, a smooth cosine fall over the feather, 0 at the edge."""
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]) / (FEATHER_SHARE * size)
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.clip(edge, 0, 1))
    return np.outer(ramp, ramp).astype(np.float32)
