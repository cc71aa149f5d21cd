"""The motion of a synthetic head over time, as the renderer takes it."""

from typing import NamedTuple

import numpy as np

from vasa_jax.typing import Float, Int


class MotionTrack(NamedTuple):
    """A performance of t frames at 25 fps, free of any identity.

    Axes are the camera's: x to the right of the picture, y down, z away from the camera.

    arkit: (t, 52) coefficients in the order of `vasa_jax.typing.ARKIT`, in [0, 1]. The eyeLook*
        entries move the lids only, and follow from gaze and head; the eyeballs turn by `gaze`.
    rotation: (t, 3) pitch, yaw, roll of the head in radians (`vasa_jax.typing.Pose`); 0 faces the
        camera.
    offset: (t, 3) movement of the head from its resting place, in head widths.
    gaze: (t, 2) yaw and pitch of the line of sight in radians against the camera's axes, as in
        `vasa_jax.data_pipeline.clip.Clip`.
    emotion: (8,) shares of `vasa_jax.typing.EMOTIONS` that were put into the expression.
    phonemes: (t,) as in `Clip`.
    """

    arkit: Float[np.ndarray, "t 52"]
    rotation: Float[np.ndarray, "t 3"]
    offset: Float[np.ndarray, "t 3"]
    gaze: Float[np.ndarray, "t 2"]
    emotion: Float[np.ndarray, "8"]
    phonemes: Int[np.ndarray, " t"]
