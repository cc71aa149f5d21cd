"""Normalisation of motion vectors: part of every motion checkpoint."""

from typing import NamedTuple

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Array, Float


class MotionStats(NamedTuple):
    """Mean and standard deviation of each of the m motion dimensions over the training frames.

    The diffusion model sees z-scores. Without them the pose (radians, small) and z_dyn (its own
    scale) would share one noise level, and a generated head moves violently.
    """

    mean: Float[Array | np.ndarray, " m"]
    std: Float[Array | np.ndarray, " m"]

    def normalise(
        self, motion: Float[Array | np.ndarray, "*t m"]
    ) -> Float[Array | np.ndarray, "*t m"]:
        """Motion in the face model's units to z-scores."""
        return (motion - self.mean) / self.std

    def denormalise(
        self, motion: Float[Array | np.ndarray, "*t m"]
    ) -> Float[Array | np.ndarray, "*t m"]:
        """z-scores to motion in the face model's units."""
        return motion * self.std + self.mean


def fit_stats(motion: Float[np.ndarray, "n m"]) -> MotionStats:
    """The statistics of n frames of motion. A dimension that never moves gets std 1.

    Raises UserError when there is no frame, or a value that is not finite.
    """
    if len(motion) == 0:
        raise UserError("motion statistics need at least one frame; the data set has none")
    if not np.isfinite(motion).all():
        raise UserError(
            "motion statistics: a motion vector holds NaN or infinity; prepare the "
            "data again, or leave that clip out"
        )
    wide = np.asarray(motion, np.float64)
    mean, std = wide.mean(0), wide.std(0)
    std = np.where(std > 1e-6 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    return MotionStats(mean.astype(np.float32), std.astype(np.float32))
