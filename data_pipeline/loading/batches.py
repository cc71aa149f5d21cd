"""Batches of transfers from arrays by name, and their shapes."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.data_pipeline.loading.pairs import POSE
from vasa_jax.data_pipeline.loading.transfer_examples import PICTURES, TARGETS
from vasa_jax.extensions.transfer_targets import SwapBatch, from_swaps
from vasa_jax.face.batch import FaceBatch, Frame
from vasa_jax.typing import Pose

KNOWN = {"points": (5, 2), "gaze": (2,), "arkit": (52,)}
"""Labels of an image that a dataset may lack, and their shapes."""
FLOWS = tuple(f"{name}_flow" for name in TARGETS)


def swap_batch(arrays: Mapping[str, Any]) -> SwapBatch:
    """The batch of numpy arrays by `make_transfer`'s names; a missing one is None."""
    images = {}
    for name in PICTURES:
        labels = {k: arrays.get(f"{name}_{k}") for k in ("mask", *KNOWN)}
        pose = Pose(**{part: arrays[f"{name}_{part}"] for part in POSE})
        view = arrays.get(f"{name}_view")
        images[name] = Frame(arrays[name], motion_view=view, pose=pose, **labels)
    numbers = {name: arrays[name] for name in ("source_identity", "driver_identity")}
    optional = {name: arrays.get(name) for name in FLOWS}
    fields: dict[str, Any] = images | numbers | optional
    return SwapBatch(**fields)


def swap_struct(
    batch: int, pixels: int, labels: tuple[str, ...], views: Mapping[str, int], flow: int = 0
) -> SwapBatch:
    """Shapes of `swap_batch`.

    labels: those that the data has, of `KNOWN` and "mask". views: by image, the side of its motion
    view, pixels. flow: side of the flows, 0 without them.
    """

    def f32(*shape: int) -> Any:
        return jax.ShapeDtypeStruct((batch, *shape), jnp.float32)

    shapes = KNOWN | {"mask": (pixels, pixels, 1)}
    known = {name: f32(*shapes[name]) for name in labels}
    image = Frame(f32(pixels, pixels, 3), pose=Pose(f32(3), f32(3), f32(1)), **known)
    number = jax.ShapeDtypeStruct((batch,), jnp.int32)
    fields: dict[str, Any] = dict.fromkeys(PICTURES, image)
    fields |= {name: image._replace(motion_view=f32(s, s, 3)) for name, s in views.items()}
    fields |= {"source_identity": number, "driver_identity": number}
    if flow:
        fields |= {name: f32(flow, flow, 4) for name in FLOWS}
    return SwapBatch(**fields)


def face_struct(swaps: SwapBatch, batch: int) -> FaceBatch:
    """Shapes of the `FaceBatch` that `from_swaps` makes of swaps of these shapes."""
    own = jax.ShapeDtypeStruct((batch,), jnp.bool_)
    zeros = jax.tree.map(lambda s: np.zeros((1, *s.shape[1:]), s.dtype), (swaps, own))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype), from_swaps(*zeros)
    )
