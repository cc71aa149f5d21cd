"""Examples for stage 1: two frames of one clip, decoded and augmented."""

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
from vasa_jax.typing import Float, PortraitArray

AnyArray = Any
"""numpy's or JAX's: what samples on a device shares this code."""
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
    """Image augmentation: MegaPortraits' kinds, our magnitudes.

    A view is what the motion encoder sees in place of the image. MegaPortraits crops it to the
    face; here head pose is read off it too, which a crop would remove, so what lies outside of the
    face is filled with one colour instead, and the warp has no affine part.
    """

    flip: float = 0.5  # probability of mirroring an example with its labels
    colours: augment.Jitter | None = augment.MILD  # the same for all images of an example
    views: tuple[str, ...] = ("driver",)  # images that have a view
    view_colours: augment.Jitter | None = augment.STRONG
    view_warp: float = 0.02  # spread of the thin-plate warp, a share of the width
    view_crop: bool = True
    own: float = 0.25  # share of transfers driven by the source's own person
    tries: int = 1  # expression pairs sampled for a transfer, of which the lips differ most in one


PLAIN = Augment(flip=0.0, colours=None, views=())
"""Without augmentation, for validation."""


class EncodedPair(NamedTuple):
    """Two frames of a clip as its record holds them."""

    identity: int
    frames: tuple[bytes, bytes]  # JPEGs
    masks: tuple[bytes, bytes] | None  # PNGs
    labels: dict[str, Float[np.ndarray, "2 ..."]]  # those of `FRAME_LABELS` that are known


def read_record(record: bytes) -> dict[str, Any]:
    """The features of a clip's record that a pair needs: images as memory views, labels as arrays
    (without rows where unknown). Raises ValueError for a broken record."""
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
    """Source and driver of a decoded record: two different frames where it has two."""
    del how
    count = len(record["frames"])
    chosen = rng.choice(count, 2, replace=count < 2)

    def pick(name: str) -> tuple[bytes, bytes]:
        """Copies, so that the rest of the record can be freed."""
        first, second = (bytes(record[name][int(k)]) for k in chosen)
        return first, second

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
    """One example by the names of `FaceBatch`'s fields (poses in parts), images as uint8.

    size: of the images made. stored: of the record's, where they are larger.
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
    """A sampled augmentation of one view, or of a batch of them."""

    displacement: Float[AnyArray, "*b 25 2"] | None  # of `augment.thin_plate`
    colours: Float[AnyArray, "*b 3 4"] | None  # an affine map of RGB
    shift: Float[AnyArray, "*b 2"]  # of the square around the face, a share of its side
    grow: Float[AnyArray, "*b 1"]  # factor of that side
    fill: Float[AnyArray, "*b 3"]  # colour outside of the square, 0 to 255


SHIFT, GROW = 0.05, 1.25
"""The largest shift of the square around the face, and its largest factor."""


def sample_view_augmentation(rng: np.random.Generator, how: Augment) -> ViewAugmentation:
    """An augmentation for `make_view`."""
    return ViewAugmentation(
        augment.draw_warp(rng, how.view_warp) if how.view_warp else None,
        None if how.view_colours is None else augment.draw_colours(rng, how.view_colours),
        rng.uniform(-SHIFT, SHIFT, 2),
        rng.uniform(1.0, GROW, 1),
        rng.uniform(0, 255, 3),
    )


def make_view(
    image: PortraitArray,
    labels: Mapping[str, np.ndarray],
    how: Augment,
    draws: ViewAugmentation,
) -> PortraitArray:
    """An image as the motion encoder sees it: warped, recoloured, filled outside of the face."""
    if draws.displacement is not None:
        image = augment.warp(image, augment.thin_plate(draws.displacement, image.shape[0]))
    if draws.colours is not None:
        image = augment.recolour(image, draws.colours)
    box = face_box(labels) if how.view_crop else None
    return image if box is None else augment.keep_box(image, shown_box(*box, draws), draws.fill)


def shown_box(
    centre: Float[AnyArray, "*b 2"],
    side: Float[AnyArray, "*b 1"],
    draws: ViewAugmentation,
) -> Float[AnyArray, "*b 4"]:
    """Left, top, right and bottom (shares of the image) of a view's square, from `face_box`."""
    middle, half = centre + draws.shift * side, draws.grow * side / 2
    xp: Any = side.__array_namespace__()
    return xp.concatenate([middle - half, middle + half], axis=-1)


def face_box(
    labels: Mapping[str, np.ndarray],
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "1"]] | None:
    """Centre and side, shares of the image, of a square around brows, chin and both cheeks; None
    without points and without a pose."""
    if "points" in labels:
        return points_box(labels["points"].astype(np.float64))
    if "translation" in labels and "log_scale" in labels:
        side = 2.1 * EYE_SPAN * np.exp(labels["log_scale"].astype(np.float64))
        middle = (labels["translation"][:2].astype(np.float64) + 1) / 2
        return middle + np.array([0, 0.2]) * side, side
    return None


def points_box(
    points: Float[AnyArray, "*b 5 2"],
) -> tuple[Float[AnyArray, "*b 2"], Float[AnyArray, "*b 1"]]:
    """`face_box` from five face points: its side follows the distance between the eyes or the one
    from eyes to mouth, whichever is relatively larger, since a turned head shortens one of them."""
    xp: Any = points.__array_namespace__()
    eyes: Any = points[..., :2, :].mean(-2)
    mouth: Any = points[..., 3:, :].mean(-2)
    spans = xp.stack([points[..., 1, :] - points[..., 0, :], mouth - eyes], axis=-2)
    across_down = xp.sqrt((spans**2).sum(-1)) * np.array([3.1, 2.75], points.dtype)
    return (eyes + mouth) / 2, across_down.max(-1, keepdims=True)
