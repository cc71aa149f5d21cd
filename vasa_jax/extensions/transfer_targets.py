"""Rendered ground truth of transfers between people, which only synthetic data has.

A `SwapBatch` becomes a `FaceBatch` whose driver is the true image of the source's person with the
driver's motion, while the motion encoder sees the other person (`motion_view`). Every
reconstruction loss is then a supervised cross-identity transfer, and no identity can leak through
z. VASA-1 has real video alone, and its consistency and cross-identity losses instead.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.face.batch import FaceBatch, Frame
from vasa_jax.typing import Array, Bool, Float, Image, Int

__all__ = ["SwapBatch", "TransferTargets", "from_swaps"]


Flow = Float[Array, "b s s 4"]
"""Backward flow of an image of the source's person: the (x, y) of each pixel in the source, in
fractions of width and height (pixel centres lie half a pixel inside); 1 if it is visible there; 1
if it is the person."""


class TransferTargets(NamedTuple):
    """Renders of the source's person that a `FaceBatch` brings besides the driver's frame."""

    pose_only: Image
    """With the driver's pose and the source's dynamics."""
    dyn_only: Image
    """With the source's pose and the driver's dynamics."""
    driver_flow: Flow | None = None
    pose_only_flow: Flow | None = None
    dyn_only_flow: Flow | None = None

    @property
    def flows(self) -> tuple[Flow | None, Flow | None, Flow | None]:
        """Of the driver's frame, of `pose_only` and of `dyn_only`."""
        return self.driver_flow, self.pose_only_flow, self.dyn_only_flow


class SwapBatch(NamedTuple):
    """Person A's and person B's images, and the true transfers of B's motion to A.

    source: person A in pose 1 with dynamics 1. driver: person B in pose 2 with dynamics 2.
    swap: A in pose 2 with dynamics 2, the target of cross-identity transfer. pose_only: A in pose 2
    with dynamics 1. dyn_only: A in pose 1 with dynamics 2. All three have A's own proportions, so
    their pose labels say where A's head is. source_identity, driver_identity: (b,) whole numbers.
    """

    source: Frame
    driver: Frame
    swap: Frame
    pose_only: Frame
    dyn_only: Frame
    source_identity: Int[Array, " b"]
    driver_identity: Int[Array, " b"]
    swap_flow: Flow | None = None
    pose_only_flow: Flow | None = None
    dyn_only_flow: Flow | None = None


def from_swaps(swaps: SwapBatch, own: Bool[np.ndarray | Array, " b"]) -> FaceBatch:
    """The face batch of rendered transfers, in numpy on the host or in JAX on a device.

    own: samples whose motion is read from the source's own person (self-reenactment), not from
    the driver's.
    """
    source, driver = swaps.source, swaps.swap
    xp = own.__array_namespace__()
    seen = xp.where(own[:, None, None, None], driver.view, swaps.driver.view)
    ones = xp.ones(len(own), xp.float32)
    has_gaze = source.gaze is not None and driver.gaze is not None
    return FaceBatch(
        source=source,
        driver=driver._replace(motion_view=seen),
        identity=swaps.source_identity,
        pose_present=ones,
        gaze_present=ones if has_gaze else None,
        targets=TransferTargets(
            swaps.pose_only.image,
            swaps.dyn_only.image,
            swaps.swap_flow,
            swaps.pose_only_flow,
            swaps.dyn_only_flow,
        ),
    )
