"""Exact swaps for stage 1: out of a group of swaps, a source, a driver and three true targets."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.loading.correspondence import correspond, decode_places
from vasa_jax.data_pipeline.loading.image_codec import decode_grey, decode_rgb, shrink
from vasa_jax.data_pipeline.loading.pairs import (
    FLIPS,
    Augment,
    ViewAugmentation,
    make_view,
    sample_view_augmentation,
)
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.lips import lips_apart
from vasa_jax.typing import Array, Bool, Float

PICTURES = ("source", "driver", "swap", "pose_only", "dyn_only")
TARGETS = ("swap", "pose_only", "dyn_only")
"""Those of the source's own person."""


class Picture(NamedTuple):
    """One picture of a group as it lies in its record, with its labels."""

    image: bytes
    mask: bytes | None
    labels: dict[str, np.ndarray]
    places: bytes | None = None


class TransferExample(NamedTuple):
    """identity: of source and driver. pictures: in the order of `PICTURES`."""

    identity: tuple[int, int]
    pictures: tuple[Picture, ...]


def choose_swap(
    group: SwapGroup, rng: np.random.Generator, tries: int = 1
) -> tuple[int, int, int, int, int, int]:
    """(a, b, p1, p2, d1, d2): two different people, poses and dynamics of a group. Of `tries` pairs
    of dynamics the one whose lips differ most is taken (`Augment.tries`)."""
    two = lambda n: tuple(int(v) for v in rng.choice(n, 2, replace=False))  # noqa: E731
    (a, b), (p1, p2), (d1, d2) = (two(n) for n in group.counts())
    if tries > 1 and group.arkit is not None:
        pairs = [(d1, d2), *(two(group.counts()[2]) for _ in range(tries - 1))]
        lips = lips_apart(group.arkit)
        d1, d2 = max(pairs, key=lambda pair: abs(lips[pair[0]] - lips[pair[1]]))
    return a, b, p1, p2, d1, d2


def transfer_indices(swap: Sequence[Any]) -> tuple[tuple[Any, Any, Any], ...]:
    """Which identity, pose and dynamics each of `PICTURES` shows, of a `choose_swap`: (A, p1, d1)
    and (B, p2, d2); then what A looks like with both of B's, with B's pose only, and with B's
    dynamics only. Whole numbers of any kind, traced ones as well."""
    a, b, p1, p2, d1, d2 = swap
    return (a, p1, d1), (b, p2, d2), (a, p2, d2), (a, p2, d1), (a, p1, d2)


def sample_transfer(
    group: SwapGroup, people: Mapping[str, int], rng: np.random.Generator, how: Augment
) -> TransferExample:
    """The pictures of one swap of a group. how: its `tries`."""
    return encoded_transfer(group, people, choose_swap(group, rng, how.tries))


def encoded_transfer(
    group: SwapGroup, people: Mapping[str, int], swap: Sequence[int]
) -> TransferExample:
    """`sample_transfer` of a swap that is chosen already."""
    counts = group.counts()
    names = people[group.identity[swap[0]]], people[group.identity[swap[1]]]
    return TransferExample(
        names, tuple(_picture(group, counts, place) for place in transfer_indices(swap))
    )


def _picture(group, counts, place):
    i, p, d = place
    number = int(np.ravel_multi_index(place, counts))
    labels: dict[str, Any] = {
        "rotation": group.rotation[i, p],
        "translation": group.translation[i, p],
        "log_scale": group.log_scale[i, p],
    }
    if group.gaze is not None:
        labels["gaze"] = group.gaze[p, d]
    if group.points is not None:
        labels["points"] = group.points[i, p, d]
    if group.arkit is not None:
        labels["arkit"] = group.arkit[d]
    mask = None if group.masks is None else group.masks[number]
    places = None if group.places is None else group.places[number]
    return Picture(group.images[number], mask, labels, places)


class TransferAugmentation(NamedTuple):
    """What is drawn for one quad, or for a batch of them: whether it is mirrored, its colour
    matrix, whether it is meant for self-reenactment, and for each of `Augment.views` what that
    needs."""

    flip: Bool[np.ndarray | Array, "*b"]
    colours: Float[np.ndarray | Array, "*b 3 4"] | None
    own: Bool[np.ndarray | Array, "*b"]
    views: dict[str, ViewAugmentation]


def sample_augmentation(rng: np.random.Generator, how: Augment) -> TransferAugmentation:
    """What `augmented_transfer` needs for one quad."""
    return TransferAugmentation(
        np.array(rng.random() < how.flip),
        None if how.colours is None else augment.draw_colours(rng, how.colours),
        np.array(rng.random() < how.own),
        {name: sample_view_augmentation(rng, how) for name in PICTURES if name in how.views},
    )


def make_transfer(
    raw: TransferExample,
    size: int,
    how: Augment,
    rng: np.random.Generator,
    masks: bool,
    flows: bool = False,
    stored: int | None = None,
) -> dict[str, np.ndarray]:
    """One example by the names of `SwapBatch`'s fields (poses in parts), pictures as uint8; `own`,
    whether it is meant for self-reenactment. flows: whether to find the source's pixels in its
    targets; its pictures need places then. size, stored: as in `pairs.make_pair`.

    One mirroring and one mild recolouring for the whole quad: the targets stay true.
    """
    stored = size if stored is None else stored
    return augmented_transfer(raw, size, how, sample_augmentation(rng, how), masks, flows, stored)


def augmented_transfer(
    raw: TransferExample,
    size: int,
    how: Augment,
    draws: TransferAugmentation,
    masks: bool,
    flows: bool,
    stored: int,
) -> dict[str, np.ndarray]:
    """`make_transfer` for what is drawn already."""
    example: dict[str, np.ndarray] = {
        "source_identity": np.array(raw.identity[0], np.int32),
        "driver_identity": np.array(raw.identity[1], np.int32),
        "own": draws.own,
    }
    for name, picture in zip(PICTURES, raw.pictures, strict=True):
        image, labels = shrink(decode_rgb(picture.image, stored), size), picture.labels
        mask = None
        if masks and picture.mask is not None:
            mask = shrink(decode_grey(picture.mask, stored), size)
        if draws.flip:
            image = np.ascontiguousarray(image[:, ::-1])
            mask = None if mask is None else mask[:, ::-1]
            labels = {k: FLIPS[k](v) for k, v in labels.items()}
        if draws.colours is not None:
            image = augment.recolour(image, draws.colours)
        example[name] = image
        if mask is not None:
            example[f"{name}_mask"] = mask
        if name in draws.views:
            example[f"{name}_view"] = make_view(image, labels, how, draws.views[name])
        for key, value in labels.items():
            example[f"{name}_{key}"] = value.astype(np.float32)
    if flows:
        found = dict(zip(PICTURES, (picture.places for picture in raw.pictures), strict=True))
        source, *targets = (_places(found[name], bool(draws.flip)) for name in ("source", *TARGETS))
        for name, flow in zip(TARGETS, correspond(source, targets), strict=True):
            example[f"{name}_flow"] = flow
    return example


def _places(content: bytes | None, flip: bool):
    if content is None:
        raise ValueError("a group of swaps without places")
    places, there = decode_places(content)
    return (places[:, ::-1], there[:, ::-1]) if flip else (places, there)
