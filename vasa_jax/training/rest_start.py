"""Windows that begin as generated clips do: after a portrait that waited in silence.

Not from the paper. In the clips that one learns from, the frames before a window look where the
window looks and feel what it feels. At inference a clip's first window has the portrait's resting
face before it (`Pipeline.before`), which never came in training: the face stayed with those frames,
whatever emotion was asked for.
"""

import numpy as np

from vasa_jax.typing import POSE_DIM, Float

FRAMES = 8
"""Of the window, in which the face comes from rest to what the clip does."""


def from_rest(
    motion: Float[np.ndarray, "f m"], rest: Float[np.ndarray, " m"], context: int
) -> Float[np.ndarray, "f m"]:
    """motion: `context` frames, then the window. rest: the mean motion, of which z_dyn counts.

    Returns the same window after a head that held the window's first pose, with a resting face.
    """
    found = motion.copy()
    found[:context] = motion[context]
    found[:context, POSE_DIM:] = rest[POSE_DIM:]
    window = found[context:]
    x = np.minimum((np.arange(len(window)) + 1) / (FRAMES + 1), 1)[:, None]
    share = x * x * (3 - 2 * x)
    window[:, POSE_DIM:] = (1 - share) * rest[POSE_DIM:] + share * window[:, POSE_DIM:]
    return found
