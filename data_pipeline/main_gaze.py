"""The main gaze direction of a clip (VASA-1 section 3.2), for real and rendered heads alike."""

import numpy as np

from vasa_jax.typing import Float

BIN = np.radians(5.0)
"""Width of a bin of the histogram of directions."""


def main_gaze(gaze: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "2"]:
    """A clip's main gaze: the mean of the directions in and around the fullest histogram bin.

    VASA-1 (section 3.2, data) clusters the directions of a clip's frames by a histogram and does
    not publish more. Here: bins of 5 degrees centred on whole multiples (so that looking into the
    camera is one bin), counts summed over 3 x 3 neighbours, the fullest sum wins (the one nearest
    to the camera where sums are equal), and the frames in those nine bins are averaged.
    gaze: yaw and pitch in radians. Raises ValueError for no frame at all.
    """
    if not len(gaze):
        raise ValueError("no frames, no main gaze")
    bins = np.round(np.asarray(gaze, np.float64) / BIN).astype(np.int64)
    centres = np.unique(bins, axis=0)
    near = np.abs(bins[None] - centres[:, None]).max(2) <= 1
    order = np.lexsort((np.hypot(*centres.T), -near.sum(1)))
    return np.asarray(np.mean(gaze[near[order[0]]], 0, dtype=np.float64), np.float32)
