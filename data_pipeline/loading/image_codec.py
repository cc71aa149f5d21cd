"""Images to JPEG and PNG bytes and back, and to smaller sizes."""

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import PortraitArray, UInt8


def decode_rgb(content: bytes, size: int) -> PortraitArray:
    """A JPEG or PNG as RGB. Raises UserError for broken bytes and another size."""
    import cv2

    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if found is None or found.shape[:2] != (size, size):
        raise UserError(f"a picture is broken, or not {size} x {size}")
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def decode_grey(content: bytes, size: int) -> UInt8[np.ndarray, "h w 1"]:
    """A grey PNG. Raises UserError for broken bytes and another size."""
    import cv2

    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if found is None or found.shape[:2] != (size, size):
        raise UserError(f"a mask is broken, or not {size} x {size}")
    return found[..., None]


def shrink(picture: UInt8[np.ndarray, "h w c"], size: int) -> UInt8[np.ndarray, "size size c"]:
    """A square image or mask at a smaller size: a new pixel is the mean of the area it covers."""
    import cv2

    if picture.shape[:2] == (size, size):
        return picture
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return small.reshape(size, size, picture.shape[2])


def encode_jpeg(picture: PortraitArray, quality: int) -> bytes:
    """JPEG bytes of an RGB image."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def encode_png(mask: UInt8[np.ndarray, "h w"]) -> bytes:
    """PNG bytes of a grey image."""
    import cv2

    return cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1].tobytes()
