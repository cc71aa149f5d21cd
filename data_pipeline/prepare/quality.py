"""No-reference image quality of a clip; higher is better."""

import numpy as np

from vasa_jax.data_pipeline.prepare.brisque import Svr, brisque
from vasa_jax.typing import Float, Frames

EVERY = 5
"""Frames between two that are scored: neighbours hardly differ."""


def frame_quality(
    frames: Frames, every: int = EVERY, svr: Svr | None = None
) -> Float[np.ndarray, " n"]:
    """100 - BRISQUE of every so many frames, at least one."""
    scores = [100.0 - brisque(frame, svr) for frame in frames[::every]]
    return np.array(scores, np.float32)


def worst_tenth(quality: Float[np.ndarray, " n"]) -> np.float32:
    """Mean of the worst tenth (at least one) of the values: a clip is as good as its worst part."""
    count = max(len(quality) // 10, 1)
    return np.float32(np.sort(quality)[:count].mean())
