"""Rendered transfers for the generator from a pool on the device: `SwapGroups` in JAX."""

from typing import Any

import jax
import jax.numpy as jnp

from recipes.demo.on_device import image_ops
from recipes.demo.on_device.labels import labels_of, mirrored
from recipes.demo.on_device.pool import GroupArrays, rows_at
from vasa_jax.data_pipeline.augment_flip import flip_flow
from vasa_jax.data_pipeline.loading.batches import FLOWS
from vasa_jax.data_pipeline.loading.pairs import (
    GROW,
    POSE,
    SHIFT,
    Augment,
    ViewAugmentation,
    points_box,
    shown_box,
)
from vasa_jax.data_pipeline.loading.transfer_examples import (
    PICTURES,
    TransferAugmentation,
    transfer_indices,
)
from vasa_jax.extensions.transfer_targets import SwapBatch, from_swaps
from vasa_jax.face.batch import FaceBatch, Frame
from vasa_jax.typing import Array, Float, Image, Int, Key, Pose

__all__ = ["make_views", "sample_augmentations", "sample_swaps", "transfers_of"]


def sample_swaps(
    pool: GroupArrays,
    count: Int[Array, ""],
    key: Key[Array, ""],
    batch: int,
    size: int,
    how: Augment,
) -> FaceBatch:
    """`batch` transfers, each of a random one of the first `count` (at least 1) groups.

    size: of the images, a divisor of the pool's; where it is smaller, the motion encoder's views
    keep the pool's, as in `SwapGroups`. how: `tries` was applied when the pool was filled.
    """
    groups, swaps, rest = jax.random.split(key, 3)
    group = jax.random.randint(groups, (batch,), 0, count)
    number = jax.random.randint(swaps, (batch,), 0, pool.swaps.shape[1])
    return transfers_of(pool, group, number, sample_augmentations(rest, how, batch), size, how)


def sample_augmentations(key: Key[Array, ""], how: Augment, batch: int) -> TransferAugmentation:
    """Augmentations for `transfers_of` (`transfer_examples.sample_augmentation`)."""
    flip, colours, own, *views = jax.random.split(key, 3 + len(PICTURES))
    return TransferAugmentation(
        jax.random.bernoulli(flip, how.flip, (batch,)),
        None if how.colours is None else image_ops.draw_colours(colours, how.colours, batch),
        jax.random.bernoulli(own, how.own, (batch,)),
        {
            name: _sample_view_augmentations(key, how, batch)
            for name, key in zip(PICTURES, views, strict=True)
            if name in how.views
        },
    )


def _sample_view_augmentations(key: Key[Array, ""], how: Augment, batch: int) -> ViewAugmentation:
    """`loading.pairs.sample_view_augmentation` of a batch."""
    warp, colours, shift, grow, fill = jax.random.split(key, 5)
    return ViewAugmentation(
        image_ops.draw_warps(warp, how.view_warp, batch) if how.view_warp else None,
        None
        if how.view_colours is None
        else image_ops.draw_colours(colours, how.view_colours, batch),
        jax.random.uniform(shift, (batch, 2), minval=-SHIFT, maxval=SHIFT),
        jax.random.uniform(grow, (batch, 1), minval=1.0, maxval=GROW),
        jax.random.uniform(fill, (batch, 3), maxval=255.0),
    )


def make_views(
    images: Image, points: Float[Array, "b 5 2"], how: Augment, draws: ViewAugmentation
) -> Image:
    """Images as the motion encoder sees them (`loading.pairs.make_view`)."""
    if draws.displacement is not None:
        images = image_ops.warp(images, image_ops.thin_plate(draws.displacement, images.shape[1]))
    if draws.colours is not None:
        images = image_ops.recolour(images, draws.colours)
    if not how.view_crop:
        return images
    box = shown_box(*points_box(points), draws)
    return image_ops.keep_box(images, box, jnp.round(draws.fill) / 255)


def transfers_of(
    pool: GroupArrays,
    group: Int[Array, " b"],
    number: Int[Array, " b"],
    draws: TransferAugmentation,
    size: int,
    how: Augment,
) -> FaceBatch:
    """The batch of given swaps (`number` of `group`) under augmentations."""
    swap = rows_at(pool.swaps, group, number)
    shown = dict(zip(PICTURES, transfer_indices(tuple(swap.T)), strict=True))
    # The motion encoder sees either driver or swap: only that image is read.
    person, *rest = shown["driver"]
    shown["driver"] = (jnp.where(draws.own, shown["swap"][0], person), *rest)
    large: dict[str, Any] = {}
    frames: dict[str, Any] = {}
    for name, place in shown.items():
        large[name], frames[name] = _picture(pool, (group, *place), draws, size)
    views = {}
    for key, name in {"source": "source", "driver": "driver", "swap": "driver"}.items():
        if key in draws.views:
            views[key] = make_views(large[name], frames[name].points, how, draws.views[key])
        elif size < large[name].shape[1] or key != "source":
            views[key] = large[name]
    frames |= {key: frames[key]._replace(motion_view=view) for key, view in views.items()}
    flows = jnp.moveaxis(_flows(pool, group, number, draws.flip), 1, 0)
    people = pool.people
    return from_swaps(
        SwapBatch(
            **frames,
            source_identity=rows_at(people, group, swap[:, 0]),
            driver_identity=rows_at(people, group, swap[:, 1]),
            **dict(zip(FLOWS, flows, strict=True)),
        ),
        draws.own,
    )


def _picture(pool, place, draws, size) -> tuple[Image, Frame]:
    """The images of a cell at the pool's size, and with their labels at `size`."""
    image = image_ops.mirror(rows_at(pool.images, *place), draws.flip).astype(jnp.float32) / 255
    if draws.colours is not None:
        image = image_ops.recolour(image, draws.colours)
    mask = image_ops.mirror(rows_at(pool.masks, *place), draws.flip).astype(jnp.float32) / 255
    labels = mirrored(labels_of(pool, *place), draws.flip)
    return image, Frame(
        image_ops.shrink(image, size),
        pose=Pose(*(labels.pop(name) for name in POSE)),
        mask=image_ops.shrink(mask[..., None], size),
        **labels,
    )


def _flows(pool, group, number, flip) -> Float[Array, "b 3 f f 4"]:
    """The flows of the three targets, as `transfer_targets.Flow`."""
    places = rows_at(pool.flow, group, number).astype(jnp.float32)
    levels = rows_at(pool.seen, group, number)
    parts = [places, (levels & 1)[..., None], (levels >> 1)[..., None]]
    flow = jnp.concatenate([part.astype(jnp.float32) for part in parts], -1)
    return jnp.where(flip[:, None, None, None, None], flip_flow(flow), flow)
