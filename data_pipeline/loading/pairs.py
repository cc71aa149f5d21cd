"""Pairs of frames of one clip for stage 1: what is read of a record, and what becomes of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.augment_flip import (
    flip_arkit,
    flip_gaze,
    flip_points,
    flip_rotation,
    flip_translation,
)
from vasa_jax.data_pipeline.clip import EYE_SPAN, PER_FRAME
from vasa_jax.data_pipeline.loading.example_proto import byte_lists
from vasa_jax.data_pipeline.loading.image_codec import decode_grey, decode_rgb, shrink
from vasa_jax.typing import Array, Float, PortraitArray

POSE = ("rotation", "translation", "log_scale")
FRAME_LABELS = (*POSE, "gaze", "points", "arkit")
READ = ("frames", "masks", *FRAME_LABELS)
"""The features of a record that a pair needs."""
FLIPS = {
    "rotation": flip_rotation,
    "translation": flip_translation,
    "log_scale": lambda value: value,
    "gaze": flip_gaze,
    "points": flip_points,
    "arkit": flip_arkit,
}


class Augment(NamedTuple):
    """What is done to pictures; all of it is MegaPortraits', its sizes are ours.

    flip: chance that a pair is mirrored, with its labels. colours: of both frames alike.
    view_colours, view_warp (spread of the thin-plate warp, a share of the width), view_crop: what
    the motion encoder sees of the driver; a view that is None gets none of it (`views`). own: of
    exact swaps, the share whose motion is read from the source's own person: self-reenactment.
    tries: of exact swaps, how many pairs of expressions are drawn, of which the one whose lips
    differ most is taken: smiles that must close and shut lips that must open are rare among all.

    MegaPortraits zooms in on the driver's face. Here one view serves head pose as well, which a
    zoom would take away: what lies outside of the face is painted over instead, and the warp has
    no affine part.
    """

    flip: float = 0.5
    colours: augment.Jitter | None = augment.MILD
    views: tuple[str, ...] = ("driver",)
    view_colours: augment.Jitter | None = augment.STRONG
    view_warp: float = 0.02
    view_crop: bool = True
    own: float = 0.25
    tries: int = 1


PLAIN = Augment(flip=0.0, colours=None, views=())
"""Pictures as they are, for validation."""


class EncodedPair(NamedTuple):
    """Two frames of a clip as they lie in its record. labels: rows of the frames, by name."""

    identity: int
    frames: tuple[bytes, bytes]
    masks: tuple[bytes, bytes] | None
    labels: dict[str, Float[np.ndarray, "2 ..."]]


def read_record(record: bytes) -> dict[str, Any]:
    """What a pair needs of a clip's record: pictures as views of it, labels as arrays (with no rows
    where unknown). Raises ValueError for a broken record."""
    found = byte_lists(record, READ)
    values: dict[str, Any] = {name: found.get(name, []) for name in ("frames", "masks")}
    if not values["frames"]:
        raise ValueError("it holds no frames")
    for name in FRAME_LABELS:
        (content,) = found.get(name) or (b"",)
        values[name] = np.frombuffer(content, np.float32).reshape(-1, *PER_FRAME[name])
    return values


def sample_pair(
    record: Mapping[str, Any], identity: int, rng: np.random.Generator, how: Augment
) -> EncodedPair:
    """Source and driver out of a decoded record: two different frames where there are two."""
    del how
    count = len(record["frames"])
    chosen = rng.choice(count, 2, replace=count < 2)
    # Copies, so that the rest of the record can be forgotten.
    pick = lambda name: tuple(bytes(record[name][int(k)]) for k in chosen)  # noqa: E731
    labels = {name: record[name][chosen] for name in FRAME_LABELS if len(record[name])}
    masks = pick("masks") if len(record["masks"]) else None
    return EncodedPair(identity, pick("frames"), masks, labels)


def make_pair(
    raw: EncodedPair,
    size: int,
    how: Augment,
    rng: np.random.Generator,
    masks: bool,
    stored: int | None = None,
) -> dict[str, np.ndarray]:
    """One example by the names of `FaceBatch`'s fields (poses in parts), pictures as uint8.

    size: of the pictures that are made. stored: of those in the record, if they are larger.
    """
    stored = size if stored is None else stored
    pictures = [shrink(decode_rgb(content, stored), size) for content in raw.frames]
    found = raw.masks or () if masks else ()
    greys = [shrink(decode_grey(content, stored), size) for content in found]
    labels = raw.labels
    if rng.random() < how.flip:
        pictures = [np.ascontiguousarray(p[:, ::-1]) for p in pictures]
        greys = [g[:, ::-1] for g in greys]
        labels = {name: FLIPS[name](value) for name, value in labels.items()}
    if how.colours is not None:
        matrix = augment.draw_colours(rng, how.colours)
        pictures = [augment.recolour(p, matrix) for p in pictures]
    example: dict[str, np.ndarray] = {"identity": np.array(raw.identity, np.int32)}
    for place, side in enumerate(("source", "driver")):
        example[side] = pictures[place]
        if greys:
            example[f"{side}_mask"] = greys[place]
        row = {name: value[place] for name, value in labels.items()}
        if side in how.views:
            example[f"{side}_view"] = make_view(
                pictures[place], row, how, sample_view_augmentation(rng, how)
            )
        for name in FRAME_LABELS:
            if name in row:
                example[f"{side}_{name}"] = row[name].astype(np.float32)
    return example


class ViewAugmentation(NamedTuple):
    """What is drawn for one view, or for a batch of them.

    displacement: of `augment.thin_plate`; colours: a colour matrix; None: nothing of that. shift,
    grow: of the square around the face, shares of its side. fill: of what lies outside, of 255.
    """

    displacement: Float[np.ndarray | Array, "*b 25 2"] | None
    colours: Float[np.ndarray | Array, "*b 3 4"] | None
    shift: Float[np.ndarray | Array, "*b 2"]
    grow: Float[np.ndarray | Array, "*b 1"]
    fill: Float[np.ndarray | Array, "*b 3"]


SHIFT, GROW = 0.05, 1.25
"""The square around the face: how far it is shifted at most, and how much it grows at most."""


def sample_view_augmentation(rng: np.random.Generator, how: Augment) -> ViewAugmentation:
    """What `make_view` needs for one view."""
    return ViewAugmentation(
        augment.draw_warp(rng, how.view_warp) if how.view_warp else None,
        None if how.view_colours is None else augment.draw_colours(rng, how.view_colours),
        rng.uniform(-SHIFT, SHIFT, 2),
        rng.uniform(1.0, GROW, 1),
        rng.uniform(0, 255, 3),
    )


def make_view(
    image: PortraitArray, labels: Mapping[str, np.ndarray], how: Augment, draws: ViewAugmentation
) -> PortraitArray:
    """A frame as the motion encoder sees it: warped, recoloured, painted over around the face."""
    if draws.displacement is not None:
        image = augment.warp(image, augment.thin_plate(draws.displacement, image.shape[0]))
    if draws.colours is not None:
        image = augment.recolour(image, draws.colours)
    box = face_box(labels) if how.view_crop else None
    return image if box is None else augment.keep_box(image, shown_box(*box, draws), draws.fill)


def shown_box(
    centre: Float[np.ndarray | Array, "*b 2"],
    side: Float[np.ndarray | Array, "*b 1"],
    draws: ViewAugmentation,
) -> Float[np.ndarray | Array, "*b 4"]:
    """Left, top, right and bottom (shares) of what a view shows, from `face_box`."""
    middle, half = centre + draws.shift * side, draws.grow * side / 2
    return side.__array_namespace__().concatenate([middle - half, middle + half], axis=-1)


def face_box(
    labels: Mapping[str, np.ndarray],
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "1"]] | None:
    """Centre and side, as shares of the picture, of a square around brows, chin and both cheeks;
    None where neither points nor pose say where the face is."""
    if "points" in labels:
        return points_box(labels["points"].astype(np.float64))
    if "translation" in labels and "log_scale" in labels:
        side = 2.1 * EYE_SPAN * np.exp(labels["log_scale"].astype(np.float64))
        middle = (labels["translation"][:2].astype(np.float64) + 1) / 2
        return middle + np.array([0, 0.2]) * side, side
    return None


def points_box(
    points: Float[np.ndarray | Array, "*b 5 2"],
) -> tuple[Float[np.ndarray | Array, "*b 2"], Float[np.ndarray | Array, "*b 1"]]:
    """`face_box` from face points, of numpy or JAX: the larger of what the eyes' distance and the
    way from eyes to mouth say, as one of the two shrinks when the head turns."""
    xp = points.__array_namespace__()
    eyes, mouth = points[..., :2, :].mean(-2), points[..., 3:, :].mean(-2)
    spans = xp.stack([points[..., 1, :] - points[..., 0, :], mouth - eyes], axis=-2)
    across_down = xp.sqrt((spans**2).sum(-1)) * np.array([3.1, 2.75], points.dtype)
    return (eyes + mouth) / 2, across_down.max(-1, keepdims=True)
