"""ARKit coefficients by MediaPipe's blendshape network."""

import zipfile
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare.labels.protocols import FaceTrack
from vasa_jax.errors import UserError
from vasa_jax.perception.face_detector import TFLiteNet
from vasa_jax.typing import ARKIT, Float

# The landmarks that the network reads, in its order (mediapipe, face_blendshapes_graph.cc).
SUBSET = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65,
    66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136,
    144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172,
    173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324,
    332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385,
    386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472,
    473, 474, 475, 476, 477,
)  # fmt: skip


@lru_cache(maxsize=2)
def _load(path: Path) -> TFLiteNet:
    try:
        with zipfile.ZipFile(path) as bundle:
            content = bundle.read("face_blendshapes.tflite")
        return TFLiteNet(content, ("StatefulPartitionedCall:0",))
    except (KeyError, OSError, zipfile.BadZipFile, cv2.error) as error:
        raise UserError(f"{path} holds no blendshape network: {error}") from None


class Blendshapes:
    """The network of the `face-landmarker` bundle: 146 landmarks in, 52 scores out.

    Its first score (neutral) is left out; tongueOut, which it does not know, is 0.
    """

    def __init__(self):
        self._net = _load(zoo.ensure("face-landmarker"))

    def __call__(self, track: FaceTrack) -> Float[np.ndarray, "t 52"]:
        """Coefficients in [0, 1] in the order of `ARKIT`."""
        scores = np.zeros((len(track.landmarks), len(ARKIT)), np.float32)
        for row, landmarks in zip(scores, track.landmarks, strict=True):
            points = np.ascontiguousarray(landmarks[None, SUBSET, :2], np.float32)
            row[:-1] = self._net(points)[0].reshape(-1)[1:]
        return scores
