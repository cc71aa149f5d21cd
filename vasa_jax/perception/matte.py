"""Person segmentation by MediaPipe's selfie network.

The network is a small MobileNetV3 with a decoder, 256 x 256 pixels in and out (Google, Apache-2.0,
the zoo's `selfie-segmentation`). It marks everyone in the picture with hair, clothes and what they
hold. It runs on the CPU in OpenCV's DNN module, as the face detector does.
"""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.perception.face_detector import TFLiteNet
from vasa_jax.typing import Float, PortraitArray

INPUT = 256


@lru_cache(maxsize=2)
def _load(path: Path) -> TFLiteNet:
    try:
        return TFLiteNet(path.read_bytes(), ("activation_10",))
    except (OSError, cv2.error) as error:
        reason = " ".join(str(error).split())  # OpenCV's has several lines
        raise UserError(
            f"{path} is not the selfie segmentation network ({reason}); run `vasa-jax weights get "
            "selfie-segmentation` to replace it"
        ) from None


def person_matte(image: PortraitArray, path: Path | None = None) -> Float[np.ndarray, "h w"]:
    """The share of every pixel that shows a person, in [0, 1].

    image: (h, w, 3) uint8 sRGB of any size; the network sees it squeezed into a square, as
    MediaPipe does. path: the network's file, None for the zoo's (downloading it once). Raises
    UserError when it cannot be had or read.
    """
    network = _load(path or zoo.ensure("selfie-segmentation"))
    height, width = image.shape[:2]
    way = cv2.INTER_AREA if min(height, width) > INPUT else cv2.INTER_LINEAR
    square = cv2.resize(image, (INPUT, INPUT), interpolation=way)
    (found,) = network(cv2.dnn.blobFromImage(square, 1 / 255))
    matte = cv2.resize(found[0, 0], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(matte, 0, 1)
