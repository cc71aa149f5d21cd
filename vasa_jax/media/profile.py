"""ICC profiles: images to sRGB by their embedded profile (Little CMS)."""

import io
from collections.abc import Callable
from typing import cast

import numpy as np
from PIL import Image

__all__ = ["as_srgb"]

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for each colour space of a profile; others are no spaces of pictures here."""
_SAME = 1
"""Levels by which a profile may differ from sRGB to be taken for it: rounding, on both ways."""


def as_srgb(image: Image.Image, profile: bytes, tell: Callable[[str], None]) -> Image.Image:
    """A picture of mode L, RGB or CMYK with its numbers in sRGB.

    Relative colorimetric, with black point compensation, as browsers and editors show it. A grey
    picture becomes RGB; one whose profile is sRGB is returned as it is. tell: gets a line where
    the profile cannot be used; the picture is then returned as it is, as if it had none.
    """
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        mode = _SPACES.get(space)
        if mode is None or (mode != image.mode and (mode, image.mode) != ("RGB", "L")):
            tell(
                f"its colour profile is for {space}, the picture is {image.mode}: colours are "
                "read as sRGB"
            )
            return image
        convert = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        probe = _lattice(mode)
        if probe is not None:
            error = np.asarray(ImageCms.applyTransform(probe, convert)).astype(int)
            if np.abs(error - np.asarray(probe.convert("RGB"))).max() <= _SAME:
                return image
        # Only a transform in place, which this is not, gives None.
        return cast(Image.Image, ImageCms.applyTransform(image.convert(mode), convert))
    # Little CMS gives up in as many ways as profiles are broken; a build may also lack it.
    except Exception as error:
        reason = str(error) or type(error).__name__
        tell(f"its colour profile cannot be used ({reason}): colours are read as sRGB")
        return image


def _lattice(mode: str) -> Image.Image | None:
    """All greys, or 17 levels of each of red, green and blue; None for CMYK."""
    if mode == "CMYK":
        return None
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), -1)
    return Image.fromarray(np.ascontiguousarray(cube.reshape(17, -1, 3)))
