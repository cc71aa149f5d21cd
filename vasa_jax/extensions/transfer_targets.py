"""Rendered ground truth of transfers between people, which only synthetic data has.

A `SwapBatch` becomes a `FaceBatch` whose driver is the true image of the source's person with the
driver's motion, while the motion encoder sees the other person (`driver_view`). Every
reconstruction loss is then a supervised cross-identity transfer, and no identity can leak through
z. VASA-1 has real video alone, and its consistency and cross-identity losses instead.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.face.batch import FaceBatch
from vasa_jax.typing import Array, Bool, Float, Image, Int, Pose

__all__ = ["Rendered", "SwapBatch", "from_swaps"]


class Rendered(NamedTuple):
    """A rendered image in [0, 1] and its labels, as in `FaceBatch`; None: not in the data set."""

    image: Image
    pose: Pose
    mask: Float[Array, "b h w 1"] | None = None
    points: Float[Array, "b 5 2"] | None = None
    gaze: Float[Array, "b 2"] | None = None
    arkit: Float[Array, "b 52"] | None = None


class SwapBatch(NamedTuple):
    """Person A's and person B's images, and the true transfers of B's motion to A.

    source: person A in pose 1 with dynamics 1. driver: person B in pose 2 with dynamics 2.
    swap: A in pose 2 with dynamics 2, the target of cross-identity transfer. pose_only: A in pose 2
    with dynamics 1. dyn_only: A in pose 1 with dynamics 2. All three have A's own proportions, so
    their pose labels say where A's head is. source_identity, driver_identity: (b,) whole numbers.
    source_view, driver_view, swap_view: as the motion encoder shall see them, as in `FaceBatch`.
    swap_flow, pose_only_flow, dyn_only_flow: as `FaceBatch`'s.
    """

    source: Rendered
    driver: Rendered
    swap: Rendered
    pose_only: Rendered
    dyn_only: Rendered
    source_identity: Int[Array, " b"]
    driver_identity: Int[Array, " b"]
    source_view: Image | None = None
    driver_view: Image | None = None
    swap_view: Image | None = None
    swap_flow: Float[Array, "b s s 4"] | None = None
    pose_only_flow: Float[Array, "b s s 4"] | None = None
    dyn_only_flow: Float[Array, "b s s 4"] | None = None


def from_swaps(swaps: SwapBatch, own: Bool[np.ndarray | Array, " b"]) -> FaceBatch:
    """The face batch of rendered transfers, in numpy on the host or in JAX on a device.

    own: samples whose motion is read from the source's own person (self-reenactment), not from
    the driver's.
    """
    seen = swaps.driver.image if swaps.driver_view is None else swaps.driver_view
    own_view = swaps.swap.image if swaps.swap_view is None else swaps.swap_view
    source, driver = swaps.source, swaps.swap
    xp = own.__array_namespace__()
    ones = xp.ones(len(own), xp.float32)
    has_gaze = source.gaze is not None and driver.gaze is not None
    return FaceBatch(
        source=source.image,
        driver=driver.image,
        identity=swaps.source_identity,
        source_view=swaps.source_view,
        driver_view=xp.where(own[:, None, None, None], own_view, seen),
        source_mask=source.mask,
        driver_mask=driver.mask,
        source_points=source.points,
        driver_points=driver.points,
        source_pose=source.pose,
        driver_pose=driver.pose,
        pose_present=ones,
        source_gaze=source.gaze,
        driver_gaze=driver.gaze,
        gaze_present=ones if has_gaze else None,
        source_arkit=source.arkit,
        driver_arkit=driver.arkit,
        pose_only=swaps.pose_only.image,
        dyn_only=swaps.dyn_only.image,
        driver_flow=swaps.swap_flow,
        pose_only_flow=swaps.pose_only_flow,
        dyn_only_flow=swaps.dyn_only_flow,
    )
