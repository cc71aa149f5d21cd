"""Arrays by name, as an example has them, into the structs that the losses take."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.data_pipeline.loading.pairs import POSE
from vasa_jax.data_pipeline.loading.transfer_examples import PICTURES, TARGETS
from vasa_jax.face.batch import FaceBatch, Rendered, SwapBatch
from vasa_jax.face.exact import from_swaps
from vasa_jax.typing import Pose

KNOWN = {"points": (5, 2), "gaze": (2,), "arkit": (52,)}
"""Labels of a swap's picture that a data set may lack."""
VIEWS = ("source_view", "driver_view", "swap_view")
FLOWS = tuple(f"{name}_flow" for name in TARGETS)


def swap_batch(arrays: Mapping[str, np.ndarray]) -> SwapBatch:
    """Exact swaps out of `make_transfer`'s names; what is not among them is None."""
    pictures = []
    for name in PICTURES:
        optional = {k: arrays.get(f"{name}_{k}") for k in ("mask", *KNOWN)}
        pose = Pose(*(arrays[f"{name}_{part}"] for part in POSE))
        pictures.append(Rendered(arrays[name], pose, **optional))
    return SwapBatch(
        *pictures,
        source_identity=arrays["source_identity"],
        driver_identity=arrays["driver_identity"],
        **{name: arrays.get(name) for name in VIEWS + FLOWS},
    )


def swap_struct(
    batch: int, pixels: int, labels: tuple[str, ...], views: Mapping[str, int], flow: int = 0
) -> SwapBatch:
    """Shapes of `swap_batch`. labels: those that the data has, of `KNOWN` and "mask"; views: side
    in pixels of every view that there is; flow: side of the flows, 0 if there are none."""
    f32 = lambda *shape: jax.ShapeDtypeStruct((batch, *shape), jnp.float32)  # noqa: E731
    shapes = KNOWN | {"mask": (pixels, pixels, 1)}
    picture = Rendered(
        f32(pixels, pixels, 3),
        Pose(f32(3), f32(3), f32(1)),
        **{name: f32(*shapes[name]) for name in labels},
    )
    number = jax.ShapeDtypeStruct((batch,), jnp.int32)
    return SwapBatch(
        *[picture] * len(PICTURES),
        source_identity=number,
        driver_identity=number,
        **{name: f32(side, side, 3) for name, side in views.items()},
        **({name: f32(flow, flow, 4) for name in FLOWS} if flow else {}),
    )


def face_struct(swaps: SwapBatch, batch: int) -> FaceBatch:
    """Shapes of the `FaceBatch` that `from_swaps` makes of such swaps."""
    own = jax.ShapeDtypeStruct((batch,), jnp.bool_)
    zeros = jax.tree.map(lambda s: np.zeros((1, *s.shape[1:]), s.dtype), (swaps, own))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype), from_swaps(*zeros)
    )
