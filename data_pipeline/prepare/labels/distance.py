"""Head distance from the head's size in a crop box that does not move."""

import numpy as np

from vasa_jax.data_pipeline.prepare.labels.protocols import FaceTrack


class ScaleDistance:
    """exp(-mean log_scale), in place of Deep3DFaceRecon's depth (VASA-1 section 3.2).

    Under a fixed camera the distance is inversely proportional to the apparent size. A wide skull
    and a near camera cannot be told apart, which holds for Deep3DFaceRecon's depth in part too.
    """

    def __call__(self, track: FaceTrack) -> float:
        """The clip's distance; 1 for a head whose eye corners are `EYE_SPAN` apart."""
        assert track.pose is not None
        return float(np.exp(-np.mean(track.pose.log_scale, dtype=np.float64)))
