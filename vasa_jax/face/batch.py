"""The batch that stage 1 trains on: what a loader must deliver to the face losses."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vasa_jax.config import Config
from vasa_jax.typing import ARKIT, Array, Float, Image, Int, Pose

Pictures = Float[Array | np.ndarray, "b h w 3"]
"""Batches lie in numpy on the host, too."""


class FaceBatch(NamedTuple):
    """Pairs of frames: `source` and `driver` come from one clip of one person.

    Cross pairs are made of samples half a batch apart (`forward.partner`), each with the motion of
    the other; `identity` masks pairs that happen to be the same person. Whatever a data set does
    not have is None (for the whole data set); a label that only some samples have comes with a
    `present` flag, and its values elsewhere are ignored (but must be finite).

    source, driver: (b, h, w, 3) in [0, 1].
    identity: (b,) whole number of the person.
    source_view, driver_view: the same frames as input of the motion encoder (MegaPortraits warps
        and recolours the driver, so that its identity cannot leak into z), of any size; None: the
        frames themselves.
    source_mask, driver_mask: (b, h, w, 1) foreground in [0, 1].
    source_points, driver_points: (b, 5, 2) face points in ArcFace's order as fractions of the
        image (see perception/align.py).
    driver_regions: (b, h, w, 2) soft masks of eyes and mouth; None: made from driver_points.
    source_pose, driver_pose: labels in the units of `Pose`; pose_present: (b,) 1 where real (None:
        everywhere).
    source_gaze, driver_gaze: (b, 2) yaw and pitch in radians; gaze_present: (b,) 1 where real.
    source_arkit, driver_arkit: (b, 52) coefficients in the order of `typing.ARKIT`.
    pose_only, dyn_only: renders of the source's person with the driver's pose and the source's
        dynamics, and the reverse.
    driver_flow, pose_only_flow, dyn_only_flow: (b, s, s, 4) backward flow of these images of the
        source's person: the (x, y) of each pixel in the source, in fractions of width and height
        (pixel centres lie half a pixel inside); 1 if it is visible there; 1 if it is the person.
    """

    source: Image
    driver: Image
    identity: Int[Array, " b"]
    source_view: Image | None = None
    driver_view: Image | None = None
    source_mask: Float[Array, "b h w 1"] | None = None
    driver_mask: Float[Array, "b h w 1"] | None = None
    source_points: Float[Array, "b 5 2"] | None = None
    driver_points: Float[Array, "b 5 2"] | None = None
    driver_regions: Float[Array, "b h w 2"] | None = None
    source_pose: Pose | None = None
    driver_pose: Pose | None = None
    pose_present: Float[Array, " b"] | None = None
    source_gaze: Float[Array, "b 2"] | None = None
    driver_gaze: Float[Array, "b 2"] | None = None
    gaze_present: Float[Array, " b"] | None = None
    source_arkit: Float[Array, "b 52"] | None = None
    driver_arkit: Float[Array, "b 52"] | None = None
    pose_only: Image | None = None
    dyn_only: Image | None = None
    driver_flow: Float[Array, "b s s 4"] | None = None
    pose_only_flow: Float[Array, "b s s 4"] | None = None
    dyn_only_flow: Float[Array, "b s s 4"] | None = None

    @property
    def views(self) -> tuple[Pictures, Pictures]:
        """Source and driver as the motion encoder sees them."""
        return (
            self.source if self.source_view is None else self.source_view,
            self.driver if self.driver_view is None else self.driver_view,
        )


# A frontal face that fills the middle of the frame: eyes, nose tip, mouth corners.
_FRONTAL = np.array([[0.38, 0.42], [0.62, 0.42], [0.5, 0.55], [0.4, 0.68], [0.6, 0.68]])


def fake(config: Config, batch: int) -> FaceBatch:
    """The shapes of a full batch (every optional field there), for `jax.eval_shape`."""
    size = config.face.image_size

    def array(*shape: int, dtype: DTypeLike = jnp.float32) -> Any:  # in the place of an array
        return jax.ShapeDtypeStruct((batch, *shape), dtype)

    image, mask, pose = (
        array(size, size, 3),
        array(size, size, 1),
        Pose(array(3), array(3), array(1)),
    )
    return FaceBatch(
        source=image,
        driver=image,
        identity=array(dtype=jnp.int32),
        source_view=image,
        driver_view=image,
        source_mask=mask,
        driver_mask=mask,
        source_points=array(5, 2),
        driver_points=array(5, 2),
        driver_regions=array(size, size, 2),
        source_pose=pose,
        driver_pose=pose,
        pose_present=array(),
        source_gaze=array(2),
        driver_gaze=array(2),
        gaze_present=array(),
        source_arkit=array(len(ARKIT)),
        driver_arkit=array(len(ARKIT)),
        pose_only=image,
        dyn_only=image,
        driver_flow=array(size, size, 4),
        pose_only_flow=array(size, size, 4),
        dyn_only_flow=array(size, size, 4),
    )


def random(config: Config, batch: int, seed: int = 0) -> FaceBatch:
    """A full batch of numpy noise with plausible points, masks, labels and two samples a person."""
    rng = np.random.default_rng(seed)
    noise = jax.tree.map(
        lambda s: rng.uniform(size=s.shape).astype(np.float32), fake(config, batch)
    )

    def pose() -> Pose:
        draws: Any = rng.normal(size=(3, batch, 3)).astype(np.float32) * 0.2
        return Pose(draws[0], draws[1], draws[2, :, :1])

    def points() -> np.ndarray:
        return (_FRONTAL + rng.normal(size=(batch, 5, 2)) * 0.01).astype(np.float32)

    return noise._replace(
        identity=(np.arange(batch, dtype=np.int32) + seed) // 2,
        source_mask=(noise.source_mask > 0.3).astype(np.float32),
        driver_mask=(noise.driver_mask > 0.3).astype(np.float32),
        source_points=points(),
        driver_points=points(),
        source_pose=pose(),
        driver_pose=pose(),
        pose_present=(np.arange(batch) % 2 == 0).astype(np.float32),
        source_gaze=noise.source_gaze - 0.5,
        driver_gaze=noise.driver_gaze - 0.5,
        gaze_present=(np.arange(batch) % 3 == 0).astype(np.float32),
    )
