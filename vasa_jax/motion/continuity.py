"""Smoothness of generated motion at the edges between windows."""

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Float


def boundary_jump_ratio(motion: Float[np.ndarray, "t m"], window: int) -> float:
    """Mean frame-to-frame jump across window edges over the mean jump inside of windows.

    A jump is the Euclidean length of the difference of neighbouring frames; frame i * window is
    the first of window i. 1 means that edges cannot be told apart; the paper gives no such measure.
    Raises UserError when there is no edge or no inside, or nothing moves inside.
    """
    if window < 2 or len(motion) <= window:
        raise UserError(
            f"boundary_jump_ratio: {len(motion)} frames hold no edge between windows "
            f"of {window}; generate more than one window"
        )
    jumps = np.linalg.norm(np.diff(np.asarray(motion, np.float64), axis=0), axis=-1)
    at_edge = np.arange(1, len(motion)) % window == 0
    inside = jumps[~at_edge].mean()
    if inside == 0:
        raise UserError("boundary_jump_ratio: nothing moves inside of the windows")
    return float(jumps[at_edge].mean() / inside)
