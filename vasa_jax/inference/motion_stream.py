"""Motion of clips that are generated side by side, ready to decode, one call after another."""

from collections.abc import Callable, Sequence

import numpy as np

from vasa_jax.motion.clips import ClipSampling
from vasa_jax.typing import Float, UInt

__all__ = ["MotionStream", "Placement"]

Placement = Callable[[Float[np.ndarray, "t m"]], Float[np.ndarray, "t m"]]
"""Moves the next frames of one clip's sampled motion to where they are shown."""


class MotionStream:
    """The sampler of some clips and, per clip, what places its motion (None: shown as sampled).

    `Pipeline.motion_stream` makes it; nothing else gives motion to decode.
    """

    def __init__(self, sampling: ClipSampling, placements: Sequence[Placement | None]):
        self._sampling, self._placements = sampling, list(placements)

    def __call__(
        self,
        features: Sequence[Float[np.ndarray, "_ a"]],
        digests: Sequence[UInt[np.ndarray, " _"]] | None = None,
    ) -> list[Float[np.ndarray, "_ m"]]:
        """The next motion of each clip, one vector [pose, z_dyn] per row of features.

        Arguments as of `ClipSampling`: features of whole windows, fewer where a clip ends.
        """
        sampled = self._sampling(features, digests)
        return [
            motion if place is None or not len(motion) else place(motion)
            for motion, place in zip(sampled, self._placements, strict=False)
        ]
