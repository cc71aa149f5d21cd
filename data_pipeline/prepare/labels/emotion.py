"""Emotion shares of a clip, by face-api's facial expression network."""

import cv2
import jax
import numpy as np

from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare.labels.protocols import FaceTrack
from vasa_jax.perception.expression import CHIP_SIZE, CLASSES, ExpressionNet, load
from vasa_jax.typing import EMOTIONS, Float, PortraitArray, UInt8

STRIDE = 5
"""Every so many frames one is looked at: five a second, for the mean of a clip."""
BATCH = 8
# The corners of the 68 points of dlib in the mesh: brows, chin and jaw.
_OUTLINE = (
    70,
    63,
    105,
    66,
    107,
    336,
    296,
    334,
    293,
    300,
    127,
    234,
    93,
    132,
    58,
    172,
    136,
    150,
    176,
    152,
    400,
    379,
    365,
    397,
    288,
    361,
    323,
    454,
    356,
)
_MARGIN = 0.2
"""How much wider and higher than those points the network's pictures were."""


def face_chip(
    image: PortraitArray, landmarks: Float[np.ndarray, "478 3"]
) -> UInt8[np.ndarray, "112 112 3"]:
    """The face's upright box as face-api cuts it: black bars make it square.

    image: (h, w, 3) uint8. landmarks: pixels of it. What lies outside the image is black, too.
    """
    outline = landmarks[_OUTLINE, :2].astype(np.float64)
    low, high = outline.min(0), outline.max(0)
    middle, extent = (low + high) / 2, (high - low) * (1 + _MARGIN)
    x0, y0 = (int(v) for v in np.floor(middle - extent / 2))
    x1, y1 = (int(v) for v in np.ceil(middle + extent / 2))
    side = max(x1 - x0, y1 - y0, 1)
    chip = np.zeros((side, side, 3), np.uint8)
    height, width = image.shape[:2]
    left, right, top, bottom = max(x0, 0), min(x1, width), max(y0, 0), min(y1, height)
    if left < right and top < bottom:
        row, column = top - y0 + (side - (y1 - y0)) // 2, left - x0 + (side - (x1 - x0)) // 2
        chip[row : row + bottom - top, column : column + right - left] = image[
            top:bottom, left:right
        ]
    way = cv2.INTER_AREA if side > CHIP_SIZE else cv2.INTER_LINEAR
    return cv2.resize(chip, (CHIP_SIZE, CHIP_SIZE), interpolation=way)


class FaceExpression:
    """Mean class shares of the clip's frames. VASA-1 section 3.2 uses HSEmotion.

    The network knows seven of the eight `EMOTIONS`: contempt stays 0.
    """

    def __init__(self):
        params = {"params": load(zoo.ensure("face-expression"))}
        self._shares = jax.jit(lambda x: jax.nn.softmax(ExpressionNet().apply(params, x)))

    def __call__(self, track: FaceTrack) -> Float[np.ndarray, "8"]:
        """(8,) shares that sum to one."""
        pairs = list(zip(track.frames, track.landmarks, strict=True))[STRIDE // 2 :: STRIDE]
        pairs = pairs or [(track.frames[0], track.landmarks[0])]
        chips = np.stack([face_chip(*pair) for pair in pairs]).astype(np.float32) / 255
        shares = []
        for start in range(0, len(chips), BATCH):
            batch = chips[start : start + BATCH]
            full = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
            shares.append(np.asarray(self._shares(full))[: len(batch)])
        mean = np.concatenate(shares).mean(0, dtype=np.float64)
        out = np.zeros(len(EMOTIONS), np.float32)
        out[[EMOTIONS.index(name) for name in CLASSES]] = mean / mean.sum()
        return out
