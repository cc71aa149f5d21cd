"""The batch that stage 1 trains on: what a loader must deliver to the face losses."""

from typing import Any, NamedTuple

import numpy as np

from vasa_jax.typing import Array, Float, Image, Int, Pose

__all__ = ["FaceBatch", "Frame", "Pictures"]

Pictures = Float[Array | np.ndarray, "b h w 3"]
"""Batches lie in numpy on the host, too."""


class Frame(NamedTuple):
    """One frame of each sample, with its labels; what a data set does not have is None."""

    image: Image
    """In [0, 1]."""
    motion_view: Image | None = None
    """The frame as input of the motion encoder, of any size (MegaPortraits warps and recolours the
    driver, so that its identity cannot leak into z); None: the image itself."""
    mask: Float[Array, "b h w 1"] | None = None
    """Foreground, in [0, 1]."""
    points: Float[Array, "b 5 2"] | None = None
    """Face points in ArcFace's order as fractions of the image (see perception/align.py)."""
    regions: Float[Array, "b h w 2"] | None = None
    """Soft masks of eyes and mouth; None: made from `points`."""
    pose: Pose | None = None
    gaze: Float[Array, "b 2"] | None = None
    """Yaw and pitch, radians."""
    arkit: Float[Array, "b 52"] | None = None
    """Coefficients in the order of `typing.ARKIT`."""

    @property
    def view(self) -> Any:
        """(b, h, w, 3), the frame as the motion encoder sees it, or its shape."""
        return self.image if self.motion_view is None else self.motion_view


class FaceBatch(NamedTuple):
    """Pairs of frames: `source` and `driver` come from one clip of one person.

    Cross pairs are made of samples half a batch apart (`forward.partner`), each with the motion of
    the other; `identity` masks pairs that happen to be the same person. A label that only some
    samples have comes with a flag, and its values elsewhere are ignored (but must be finite).
    """

    source: Frame
    driver: Frame
    identity: Int[Array, " b"]
    """Whole number of the person."""
    pose_present: Float[Array, " b"] | None = None
    """1 where both poses are real; None: everywhere."""
    gaze_present: Float[Array, " b"] | None = None
    """1 where both gazes are real."""
    targets: Any = None
    """What an extension compares with (`vasa_jax.extensions.transfer_targets.TransferTargets`)."""
