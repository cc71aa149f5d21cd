"""2D face points for alignment and region losses, from the face mesh."""

import numpy as np

from vasa_jax.data_pipeline.prepare.labels.protocols import FaceTrack
from vasa_jax.typing import Float

EYES = ((33, 160, 158, 133, 153, 144), (263, 387, 385, 362, 380, 373))
"""Six points round the eye at the picture's left and round the other, as dlib's eyes have."""
NOSE_TIP = 1
MOUTH_CORNERS = (61, 291)


class MeshPoints:
    """Five points in ArcFace's order (`vasa_jax.perception.align`), and the whole mesh."""

    def __call__(
        self, track: FaceTrack
    ) -> tuple[Float[np.ndarray, "t 5 2"], Float[np.ndarray, "t 478 2"]]:
        """Shares of the picture's width and height; left and right are those of an upright head."""
        height, width = track.frames.shape[1:3]
        mesh = track.landmarks[..., :2] / np.array([width, height], np.float32)
        eyes = [mesh[:, list(eye)].mean(1) for eye in EYES]
        rest = [mesh[:, i] for i in (NOSE_TIP, *MOUTH_CORNERS)]
        return np.stack([*eyes, *rest], 1), mesh
