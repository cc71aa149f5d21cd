"""Swap groups as arrays of a pool, made on the host with numpy."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from recipes.demo.on_device.pool import GroupArrays
from vasa_jax.data_pipeline.loading.correspondence import correspond, decode_places
from vasa_jax.data_pipeline.loading.image_codec import decode_grey, decode_rgb
from vasa_jax.data_pipeline.loading.transfer_examples import (
    PICTURES,
    TARGETS,
    choose_swap,
    transfer_indices,
)
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.errors import UserError
from vasa_jax.typing import Float, Int, UInt8

__all__ = ["rows_of", "to_arrays"]

NEEDED = ("points", "arkit", "gaze", "masks", "places")
"""Optional fields of a group that a pool needs."""


def rows_of(
    group: SwapGroup, people: Sequence[int], swaps: int, rng: np.random.Generator, tries: int = 1
) -> GroupArrays:
    """One group without the leading axis, as numpy arrays.

    people: numbers of its identities, in their order. swaps: how many `choose_swap` samples, with
    `tries`. The flows have the size of the group's places.

    Raises UserError for a group without labels, masks or places, or with broken images, and
    ValueError for another number of people.
    """
    lacking = [name for name in NEEDED if getattr(group, name) is None]
    if lacking:
        raise UserError(
            f"{group.group_id}: a group without {', '.join(lacking)} cannot be trained "
            "on out of a device's memory; make it anew"
        )
    counts, size = group.counts(), group.size
    if len(people) != counts[0]:
        raise ValueError(f"{group.group_id}: {len(people)} numbers for {counts[0]} people")
    images = np.stack([decode_rgb(content, size) for content in group.images])
    masks = np.stack([decode_grey(content, size)[..., 0] for content in group.masks or ()])
    chosen = np.array([choose_swap(group, rng, tries) for _ in range(swaps)], np.int32)
    flow, seen = _flows(counts, group.places or [], chosen)
    fields: dict[str, Any] = dict(  # numpy in the place of JAX's arrays
        images=images.reshape(*counts, *images.shape[1:]),
        masks=masks.reshape(*counts, *masks.shape[1:]),
        rotation=group.rotation,
        translation=group.translation,
        log_scale=group.log_scale,
        points=group.points,
        arkit=group.arkit,
        gaze=group.gaze,
        people=np.asarray(people, np.int32),
        swaps=chosen,
        flow=flow,
        seen=seen,
    )
    return GroupArrays(**fields)


def to_arrays(
    groups: Sequence[SwapGroup], swaps: int, rng: np.random.Generator, tries: int = 1
) -> GroupArrays:
    """All groups as one pool of numpy arrays; people are numbered by the order of their names.

    Raises what `rows_of` does; groups must have the same counts and sizes.
    """
    numbers = {name: n for n, name in enumerate(sorted({x for g in groups for x in g.identity}))}
    rows = [rows_of(g, [numbers[name] for name in g.identity], swaps, rng, tries) for g in groups]
    return jax.tree.map(lambda *values: np.stack(values), *rows)


def _flows(
    counts: tuple[int, int, int], stored: Sequence[bytes], chosen: Int[np.ndarray, "q 6"]
) -> tuple[Float[np.ndarray, "q 3 f f 2"], UInt8[np.ndarray, "q 3 f f"]]:
    """`correspond` of the three targets of every swap, as coordinates and levels (`GroupArrays`).
    Swaps of one source share its search tree. stored: `SwapGroup.places`."""
    by_source: dict[tuple[int, int, int], list[tuple[int, tuple]]] = {}
    for number, swap in enumerate(chosen.tolist()):
        shown = dict(zip(PICTURES, transfer_indices(swap), strict=True))
        targets = tuple(shown[name] for name in TARGETS)
        by_source.setdefault(shown["source"], []).append((number, targets))

    def places(place):
        return decode_places(stored[int(np.ravel_multi_index(place, counts))])

    found: list[np.ndarray] = [np.empty(0)] * len(chosen)  # each is replaced below
    for source, asked in by_source.items():
        different = list(dict.fromkeys(place for _, targets in asked for place in targets))
        flows = correspond(places(source), [places(place) for place in different])
        known = dict(zip(different, flows, strict=True))
        for number, targets in asked:
            found[number] = np.stack([known[place] for place in targets])
    whole = np.stack(found)
    levels = whole[..., 2] + 2 * whole[..., 3]
    return whole[..., :2].astype(np.float16), levels.astype(np.uint8)
