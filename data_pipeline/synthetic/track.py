"""The motion of a synthetic head over time, as the renderer takes it."""

from typing import NamedTuple

import numpy as np

from vasa_jax.typing import Float, Int


class MotionTrack(NamedTuple):
    """Motion of t frames at 25 fps, without identity.

    Axes are the camera's: x to the right of the picture, y down, z away from the camera.
    """

    # Coefficients in the order of `vasa_jax.typing.ARKIT`, in [0, 1]. The eyeLook* entries
    # move the lids only, and follow from gaze and head; the eyeballs turn by `gaze`.
    arkit: Float[np.ndarray, "t 52"]
    # Pitch, yaw, roll of the head in radians (`vasa_jax.typing.Pose`); 0 faces the camera.
    rotation: Float[np.ndarray, "t 3"]
    # Movement of the head from its resting place, in head widths.
    offset: Float[np.ndarray, "t 3"]
    # Yaw and pitch of the line of sight in radians against the camera's axes, as in
    # `vasa_jax.data_pipeline.clip.Clip`.
    gaze: Float[np.ndarray, "t 2"]
    # Shares of `vasa_jax.typing.EMOTIONS` that were put into the expression.
    emotion: Float[np.ndarray, "8"]
    phonemes: Int[np.ndarray, " t"]  # as in `Clip`
