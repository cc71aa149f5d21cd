"""Rendered ground-truth transfers for stage 1: source, driver and three targets of a swap group.

Not from the paper, whose videos have no ground truth for cross-identity reenactment.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.loading.correspondence import correspond, decode_places
from vasa_jax.data_pipeline.loading.image_codec import decode_grey, decode_rgb, shrink
from vasa_jax.data_pipeline.loading.pairs import (
    FLIPS,
    AnyArray,
    Augment,
    ViewAugmentation,
    make_view,
    sample_view_augmentation,
)
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.lips import lips_apart
from vasa_jax.typing import Bool, Float

PICTURES = ("source", "driver", "swap", "pose_only", "dyn_only")
TARGETS = ("swap", "pose_only", "dyn_only")
"""Those that show the source's person."""


class EncodedImage(NamedTuple):
    """An image of a group as its record holds it."""

    image: bytes  # a JPEG
    mask: bytes | None  # a PNG
    labels: dict[str, np.ndarray]
    places: bytes | None = None  # of `correspondence.encode_places`


class TransferExample(NamedTuple):
    """The images of one transfer as their record holds them."""

    identity: tuple[int, int]  # of source and driver
    images: tuple[EncodedImage, ...]  # in the order of `PICTURES`


def choose_swap(
    group: SwapGroup, rng: np.random.Generator, tries: int = 1
) -> tuple[int, int, int, int, int, int]:
    """(a, b, p1, p2, d1, d2): two different people, poses and expressions of a group. Of `tries`
    pairs of expressions the one whose lips differ most (`Augment.tries`)."""

    def two(n: int) -> tuple[int, int]:
        first, second = rng.choice(n, 2, replace=False)
        return int(first), int(second)

    (a, b), (p1, p2), (d1, d2) = (two(n) for n in group.counts())
    if tries > 1 and group.arkit is not None:
        pairs = [(d1, d2), *(two(group.counts()[2]) for _ in range(tries - 1))]
        lips = lips_apart(group.arkit)
        d1, d2 = max(pairs, key=lambda pair: abs(lips[pair[0]] - lips[pair[1]]))
    return a, b, p1, p2, d1, d2


def transfer_indices(swap: Sequence[Any]) -> tuple[tuple[Any, Any, Any], ...]:
    """(person, pose, expression) of each of `PICTURES`, of a `choose_swap`: (a, p1, d1) and
    (b, p2, d2), then a with b's pose and expression, with b's pose, with b's expression. Integers
    of any kind, traced ones as well."""
    a, b, p1, p2, d1, d2 = swap
    return (a, p1, d1), (b, p2, d2), (a, p2, d2), (a, p2, d1), (a, p1, d2)


def sample_transfer(
    group: SwapGroup, people: Mapping[str, int], rng: np.random.Generator, how: Augment
) -> TransferExample:
    """A random transfer of a group. people: a number for every name. how: its `tries`."""
    return encoded_transfer(group, people, choose_swap(group, rng, how.tries))


def encoded_transfer(
    group: SwapGroup, people: Mapping[str, int], swap: Sequence[int]
) -> TransferExample:
    """The transfer of a `choose_swap`."""
    counts = group.counts()
    names = people[group.identity[swap[0]]], people[group.identity[swap[1]]]
    return TransferExample(
        names, tuple(_encoded(group, counts, place) for place in transfer_indices(swap))
    )


def _encoded(group: SwapGroup, counts: tuple[int, int, int], place: tuple) -> EncodedImage:
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
    return EncodedImage(group.images[number], mask, labels, places)


class TransferAugmentation(NamedTuple):
    """A sampled augmentation of one transfer, or of a batch of them."""

    flip: Bool[AnyArray, "*b"]
    colours: Float[AnyArray, "*b 3 4"] | None  # an affine map of RGB, of all images alike
    own: Bool[AnyArray, "*b"]  # the driver is of the source's own person
    views: dict[str, ViewAugmentation]  # of `Augment.views`


def sample_augmentation(rng: np.random.Generator, how: Augment) -> TransferAugmentation:
    """An augmentation for `augmented_transfer`."""
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
    """One example by the names of `SwapBatch`'s fields (poses in parts), images as uint8, and `own`
    (`TransferAugmentation`).

    All images are mirrored and recoloured alike, so the targets stay exact. flows: whether to find
    the source's pixels in the targets, which needs places. size, stored: as in `pairs.make_pair`.
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
    """`make_transfer` under a given augmentation."""
    example: dict[str, np.ndarray] = {
        "source_identity": np.array(raw.identity[0], np.int32),
        "driver_identity": np.array(raw.identity[1], np.int32),
        "own": draws.own,
    }
    for name, picture in zip(PICTURES, raw.images, strict=True):
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
        found = dict(zip(PICTURES, (image.places for image in raw.images), strict=True))
        source, *targets = (_places(found[name], bool(draws.flip)) for name in ("source", *TARGETS))
        for name, flow in zip(TARGETS, correspond(source, targets), strict=True):
            example[f"{name}_flow"] = flow
    return example


def _places(content: bytes | None, flip: bool):
    if content is None:
        raise ValueError("a group of swaps without places")
    places, there = decode_places(content)
    return (places[:, ::-1], there[:, ::-1]) if flip else (places, there)
