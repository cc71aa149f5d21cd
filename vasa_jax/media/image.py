"""Images in and out: common image files to and from uint8 RGB (Pillow)."""

import os
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image, UnidentifiedImageError

from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFile, check_input
from vasa_jax.media.orientation import UPRIGHT, turn
from vasa_jax.media.profile import as_srgb
from vasa_jax.typing import PortraitArray

__all__ = ["BACKGROUND", "MAX_PIXELS", "MAX_SIDE", "MIN_SIDE", "read_image", "write_image"]

MIN_SIDE = 128
MAX_SIDE = 16_384
MAX_PIXELS = 2**27
"""134 megapixels, 400 MB of RGB: twice an 8k square, and below Pillow's own bomb limit."""
BACKGROUND = (128, 128, 128)
"""Transparent pixels are laid over mid grey, which leaves the dimmest halo round hair of any
shade and hardly moves the mean that the networks see."""

# Named, because Pillow's list also holds plugins that run programs (EPS) or draw (WMF).
_READ = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_WRITE = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"quality": 95},
    ".bmp": {},
    ".tif": {},
    ".tiff": {},
}
_ORIENTATION = 0x0112


def read_image(path: str | os.PathLike, tell: Callable[[str], None] | None = None) -> PortraitArray:
    """Read an image as it is meant to be seen: (h, w, 3) uint8 sRGB, writable and contiguous.

    The EXIF orientation and the ICC profile are applied, transparency is laid over `BACKGROUND`,
    palette, grey, 16-bit, float and CMYK pixels become 8-bit RGB, and the first frame of an
    animation is taken. tell: gets a line where a profile cannot be used; the numbers are then read
    as sRGB, as they are without one.

    Raises:
        UserError: missing, a directory, empty, not an image, damaged or truncated, a side below
            `MIN_SIDE` or above `MAX_SIDE`, or more than `MAX_PIXELS` pixels.
    """
    file = check_input(path, "image")
    name = repr(os.fspath(path))
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images and odd metadata; the limits below speak for us.
            warnings.simplefilter("ignore")
            Image.init()
            known = [kind for kind in _READ if kind in Image.OPEN]  # builds differ, as in AVIF
            with Image.open(file, formats=known) as image:
                _check_size(image.size, name)
                image.load()
                pixels = _to_rgb(image, tell or (lambda line: None))
                return turn(pixels, _orientation(image))
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(
            f"{name} is not an image that can be read; save it as PNG, JPEG or WebP"
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(f"image {name} is far too large; shrink it to at most 8192 px") from error
    # Pillow's decoders let any exception out on a damaged file: SyntaxError, struct.error, ...
    except Exception as error:
        raise UserError(
            f"image {name} is damaged or truncated ({error}); copy it again or save it anew as PNG"
        ) from error


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise UserError(
            f"image {name} is {width}x{height} px, too small to show a face; "
            f"use one of at least {MIN_SIDE} px on its smaller side"
        )
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UserError(
            f"image {name} is {width}x{height} px, more than {MAX_SIDE} px a side or "
            f"{MAX_PIXELS // 10**6} megapixels; shrink it to at most 8192 px"
        )


def _to_rgb(image: Image.Image, tell: Callable[[str], None]) -> np.ndarray:
    profile = image.info.get("icc_profile")
    colours, alpha = _colours_and_alpha(image)
    if profile:
        colours = as_srgb(colours, profile, tell)
    colours = colours.convert("RGB")
    if alpha is None:
        return np.array(colours)
    opaque = Image.new("RGB", colours.size, BACKGROUND)
    opaque.paste(colours, mask=alpha)
    return np.array(opaque)


def _colours_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours in one of the modes that profiles are for (L, RGB, CMYK), and the opacity."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_grey_to_8_bit(np.asarray(image))), None
    if image.mode in ("RGBa", "La") or image.has_transparency_data:
        if image.mode in ("L", "LA", "La"):
            both = image.convert("LA")
            return both.getchannel("L"), both.getchannel("A")
        rgba = image.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "CMYK") else image.convert("RGB")), None


def _grey_to_8_bit(values: np.ndarray) -> np.ndarray:
    """16-bit greys by their full range; int32 and float ones by the smallest usual range."""
    if values.dtype == np.uint16:
        # In integers, rounded, so that 65535 -> 255 and v*257 -> v.
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    ranges = (255.0, 65535.0) if values.dtype.kind in "iu" else (1.0, 255.0, 65535.0)
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(values.max())
    full = next((r for r in ranges if peak <= r), peak)
    return np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    # After load(): Pillow turns a TIFF by itself there, and then drops the tag. A picture with
    # broken metadata is still a picture.
    try:
        return int(image.getexif().get(_ORIENTATION, UPRIGHT))
    except Exception:
        return UPRIGHT


def write_image(path: str | os.PathLike, array: PortraitArray) -> None:
    """Write (h, w, 3) uint8 RGB; the extension names the format, and no half file is ever seen.

    Raises:
        UserError: unknown extension, `path` is a directory, or the folder cannot be written.
    """
    options = _WRITE.get(os.path.splitext(os.fspath(path))[1].lower())
    if options is None:
        raise UserError(
            f"cannot tell the image format of {os.fspath(path)!r}; "
            f"end the name in one of {', '.join(_WRITE)}"
        )
    pending = PendingFile(path, "image")
    try:
        Image.fromarray(array).save(pending.temporary, None, **options)
    except OSError as error:
        pending.discard()
        raise UserError(
            f"cannot write image {os.fspath(path)!r} ({error}); check the free disk space"
        ) from error
    except BaseException:
        pending.discard()
        raise
    pending.commit()
