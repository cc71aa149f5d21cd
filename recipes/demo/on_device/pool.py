"""Groups of exact swaps as arrays on the device, which grow while training goes on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.typing import Array, Float, Int, UInt8

__all__ = ["GroupArrays", "group_struct", "rows_at"]


class GroupArrays(NamedTuple):
    """g groups of i people x p poses x d expressions, and q swaps chosen among each group's.

    Labels as in `SwapGroup`. swaps: (a, b, p1, p2, d1, d2) as in `choose_swap`: the source shows
    person a in pose p1 with expression d1, the driver b, p2, d2. flow: for each pixel of the three
    targets (`transfer_examples.TARGETS`) where the source shows it, (x, y) as shares of width and
    height. seen: 1 where the source shows it, plus 2 where the target shows the person.
    """

    images: UInt8[Array, "g i p d s s 3"]
    masks: UInt8[Array, "g i p d s s"]  # 255: the person
    rotation: Float[Array, "g i p 3"]
    translation: Float[Array, "g i p 3"]
    log_scale: Float[Array, "g i p 1"]
    points: Float[Array, "g i p d 5 2"]
    arkit: Float[Array, "g d 52"]
    gaze: Float[Array, "g p d 2"]
    people: Int[Array, "g i"]  # all different
    swaps: Int[Array, "g q 6"]
    flow: Float[Array, "g q 3 f f 2"]
    seen: UInt8[Array, "g q 3 f f"]


def group_struct(
    groups: int,
    size: int,
    swaps: int,
    people: int = 2,
    poses: int = 2,
    expressions: int = 9,
    flow_size: int = 128,
) -> GroupArrays:
    """Shapes of a pool. size, flow_size: sides of pictures and flows, pixels."""
    g, i, p, d, q = groups, people, poses, expressions, swaps

    def array(dtype, *shape: int) -> Any:  # a description in the place of an array
        return jax.ShapeDtypeStruct((g, *shape), dtype)

    f32 = jnp.float32
    return GroupArrays(
        images=array(np.uint8, i, p, d, size, size, 3),
        masks=array(np.uint8, i, p, d, size, size),
        rotation=array(f32, i, p, 3),
        translation=array(f32, i, p, 3),
        log_scale=array(f32, i, p, 1),
        points=array(f32, i, p, d, 5, 2),
        arkit=array(f32, d, 52),
        gaze=array(f32, p, d, 2),
        people=array(jnp.int32, i),
        swaps=array(jnp.int32, q, 6),
        flow=array(jnp.float16, q, 3, flow_size, flow_size, 2),
        seen=array(np.uint8, q, 3, flow_size, flow_size),
    )


def rows_at(array: Array, *index: Int[Array, " b"]) -> Array:
    """`array[index]`: what lies at b places, without a check whether they are inside."""
    return array.at[index].get(mode="promise_in_bounds")
