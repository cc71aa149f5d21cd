"""Face batches as arrays by name, as files hold them, and batches for tests and `eval_shape`."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.extensions.transfer_targets import TransferTargets
from vasa_jax.face.batch import FaceBatch, Frame
from vasa_jax.typing import ARKIT, Pose

__all__ = ["FIELDS", "REQUIRED", "fake", "from_named", "named", "random"]

FIELDS = {
    "source": ("source", "image"),
    "driver": ("driver", "image"),
    "identity": ("identity",),
    "source_view": ("source", "motion_view"),
    "driver_view": ("driver", "motion_view"),
    "source_mask": ("source", "mask"),
    "driver_mask": ("driver", "mask"),
    "source_points": ("source", "points"),
    "driver_points": ("driver", "points"),
    "driver_regions": ("driver", "regions"),
    "source_pose": ("source", "pose"),
    "driver_pose": ("driver", "pose"),
    "pose_present": ("pose_present",),
    "source_gaze": ("source", "gaze"),
    "driver_gaze": ("driver", "gaze"),
    "gaze_present": ("gaze_present",),
    "source_arkit": ("source", "arkit"),
    "driver_arkit": ("driver", "arkit"),
    "pose_only": ("targets", "pose_only"),
    "dyn_only": ("targets", "dyn_only"),
    "driver_flow": ("targets", "driver_flow"),
    "pose_only_flow": ("targets", "pose_only_flow"),
    "dyn_only_flow": ("targets", "dyn_only_flow"),
}
"""Names of arrays in files and examples, and their places in a `FaceBatch`."""
REQUIRED = ("source", "driver", "identity")


def named(batch: FaceBatch) -> dict[str, Any]:
    """The parts of a batch by their names in `FIELDS`, poses whole; None where it has none."""
    found: dict[str, Any] = {}
    for name, path in FIELDS.items():
        value: Any = batch
        for key in path:
            value = None if value is None else getattr(value, key)
        found[name] = value
    return found


def from_named(parts: Mapping[str, Any]) -> FaceBatch:
    """The batch of `named`; parts that are missing or None are left out.

    Raises UserError for one of two targets, TypeError for a missing image or identity, ValueError
    for an unknown name.
    """
    unknown = sorted(set(parts) - set(FIELDS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no part of a face batch")
    rooms: dict[str, dict[str, Any]] = {"": {}, "source": {}, "driver": {}, "targets": {}}
    for name, value in parts.items():
        *room, key = FIELDS[name]
        if value is not None:
            rooms[room[0] if room else ""][key] = value
    targets = None
    if rooms["targets"]:
        for name in ("pose_only", "dyn_only"):
            if name not in rooms["targets"]:
                raise UserError(
                    f"a batch with targets of transfers lacks {name!r}: give both pose_only and "
                    "dyn_only, or neither"
                )
        targets = TransferTargets(**rooms["targets"])
    source, driver = Frame(**rooms["source"]), Frame(**rooms["driver"])
    return FaceBatch(source, driver, targets=targets, **rooms[""])


# A frontal face that fills the middle of the frame: eyes, nose tip, mouth corners.
_FRONTAL = np.array([[0.38, 0.42], [0.62, 0.42], [0.5, 0.55], [0.4, 0.68], [0.6, 0.68]])


def fake(config: Config, batch: int) -> FaceBatch:
    """The shapes of a full batch (every optional part there), for `jax.eval_shape`."""
    size = config.face.image_size

    def array(*shape: int, dtype: DTypeLike = jnp.float32) -> Any:  # in the place of an array
        return jax.ShapeDtypeStruct((batch, *shape), dtype)

    image, flow = array(size, size, 3), array(size, size, 4)
    frame = Frame(
        image=image,
        motion_view=image,
        mask=array(size, size, 1),
        points=array(5, 2),
        pose=Pose(array(3), array(3), array(1)),
        gaze=array(2),
        arkit=array(len(ARKIT)),
    )
    return FaceBatch(
        source=frame,
        driver=frame._replace(regions=array(size, size, 2)),
        identity=array(dtype=jnp.int32),
        pose_present=array(),
        gaze_present=array(),
        targets=TransferTargets(image, image, flow, flow, flow),
    )


def random(config: Config, batch: int, seed: int = 0) -> FaceBatch:
    """A full batch of numpy noise with plausible points, masks, labels and two samples a person."""
    rng = np.random.default_rng(seed)
    parts = named(fake(config, batch))
    noise = {
        name: jax.tree.map(lambda s: rng.uniform(size=s.shape).astype(np.float32), spec)
        for name, spec in parts.items()
    }

    def pose() -> Pose:
        draws: Any = rng.normal(size=(3, batch, 3)).astype(np.float32) * 0.2
        return Pose(draws[0], draws[1], draws[2, :, :1])

    def points() -> np.ndarray:
        return (_FRONTAL + rng.normal(size=(batch, 5, 2)) * 0.01).astype(np.float32)

    return from_named(
        noise
        | {
            "identity": (np.arange(batch, dtype=np.int32) + seed) // 2,
            "source_mask": (noise["source_mask"] > 0.3).astype(np.float32),
            "driver_mask": (noise["driver_mask"] > 0.3).astype(np.float32),
            "source_points": points(),
            "driver_points": points(),
            "source_pose": pose(),
            "driver_pose": pose(),
            "pose_present": (np.arange(batch) % 2 == 0).astype(np.float32),
            "source_gaze": noise["source_gaze"] - 0.5,
            "driver_gaze": noise["driver_gaze"] - 0.5,
            "gaze_present": (np.arange(batch) % 3 == 0).astype(np.float32),
        }
    )
