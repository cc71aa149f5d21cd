"""Person masks by MediaPipe's selfie segmentation."""

import numpy as np

from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare.labels.protocols import FaceTrack
from vasa_jax.perception.matte import person_matte
from vasa_jax.typing import UInt8


class PersonMask:
    """Everyone in the picture with hair, clothes and what they hold, soft at edges.

    Stands in for the segmentation that MegaPortraits trains its foreground by, which is not named.
    """

    def __init__(self):
        self._path = zoo.ensure("selfie-segmentation")

    def __call__(self, track: FaceTrack) -> UInt8[np.ndarray, "t h w"]:
        """255 for the person."""
        masks = np.empty(track.frames.shape[:3], np.uint8)
        for number, frame in enumerate(track.frames):
            masks[number] = np.round(person_matte(frame, self._path) * 255)
        return masks
