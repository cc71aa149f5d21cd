"""What CAPP's pose encoder sees of a head, and what becomes of frames without a face."""

import jax.numpy as jnp
import numpy as np

from vasa_jax.typing import Array, Bool, Float

CHANNELS = 6
SPREAD = 0.03
"""Typical standard deviation of an angle within 3 s, radians; brings angles to unit scale."""
CHANGE = 0.005
"""Typical change of an angle from frame to frame, radians."""
MOST_MISSING = 0.25
"""Share of a window's frames that may lack a pose; they are interpolated."""


def pose_tokens(rotation: Float[Array, "b t 3"]) -> Float[Array, "b t 6"]:
    """Angles about their mean over the window, and their changes from the frame before.

    rotation: pitch, yaw, roll in radians (`vasa_jax.typing.Pose`). The paper does not publish its
    parametrisation. Ours leaves out where a head rests, which the sound does not decide and which
    tells clips apart; and states speed, which the sound decides better than place. The first
    frame's change is 0. A head that is scaled about its mean has scaled tokens.
    """
    about = (rotation - rotation.mean(1, keepdims=True)) / SPREAD
    change = jnp.diff(rotation, axis=1, prepend=rotation[:, :1]) / CHANGE
    return jnp.concatenate([about, change], -1)


def fill_gaps(
    rotation: Float[np.ndarray, "t 3"],
) -> tuple[Float[np.ndarray, "t 3"], Bool[np.ndarray, " t"]]:
    """Rotations with frames that are not finite interpolated (at the ends held; 0 where none is
    finite), and which frames were finite."""
    known = np.isfinite(rotation).all(1)
    if known.all() or not known.any():
        return np.where(known[:, None], rotation, 0).astype(np.float32), known
    at = np.arange(len(rotation))
    found = [np.interp(at, at[known], rotation[known, i]) for i in range(3)]
    return np.stack(found, 1).astype(np.float32), known


def measurable_starts(known: Bool[np.ndarray, " t"], window: int) -> np.ndarray:
    """First frames of the windows that lack no more poses than `MOST_MISSING`, in order."""
    if len(known) < window:
        return np.zeros(0, int)
    missing = np.concatenate([[0], np.cumsum(~known)])
    return np.flatnonzero(missing[window:] - missing[:-window] <= MOST_MISSING * window)
