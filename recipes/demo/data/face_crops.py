"""Single pictures of swap groups as crops held in place by their exact pose, with their labels."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recipes.demo.data.group_reader import GroupReader, draw_picture
from recipes.demo.stages.dyn_encoder_step import DynEncoderBatch, dyn_encoder_struct
from vasa_jax.config import Config
from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.loading.pairs import FLIPS
from vasa_jax.data_pipeline.loading.pose_examples import InPlaneTransform, applied
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.errors import UserError
from vasa_jax.face.motion import FACE_CENTRE, FACE_HALF
from vasa_jax.typing import Array, Bool, Float, PortraitArray

JITTER = np.array([0.05, 0.02, 0.02, 0.06])
"""Spread of roll (rad), x, y (half pictures) and log scale: what a pose encoder gets wrong."""
COLOURS = augment.Jitter(0.25, 0.25, 0.25, 0.04)
WARP, POINTS = 0.01, 4
"""Spread of a smooth symmetric warp, as a share of the crop's side, and its control points a side:
other proportions of the same face. An encoder learns the resting faces of the people it is shown,
and then takes a stranger's high brows for raised ones; this puts that off."""
NAMES = ("rotation", "gaze", "arkit")


class CropAugmentation(NamedTuple):
    """What is drawn for one crop, or for a batch of them. off: added to roll, x, y and log scale.
    moves: of the warp's control points (`symmetric`)."""

    off: Float[np.ndarray | Array, "*b 4"]
    moves: Float[np.ndarray | Array, "*b 4 4 2"]
    colours: Float[np.ndarray | Array, "*b 3 4"]
    flip: Bool[np.ndarray | Array, "*b"]


def sample_crop_augmentation(rng: np.random.Generator) -> CropAugmentation:
    """What `make_crop` needs for one crop; half of them are mirrored."""
    off = rng.normal(size=4) * JITTER
    moves = rng.normal(size=(POINTS, POINTS, 2))
    colours = augment.draw_colours(rng, COLOURS)
    return CropAugmentation(off, moves, colours, np.array(rng.random() < 0.5))


def cut_sampling(
    where: InPlaneTransform, stored: int, size: int
) -> Float[np.ndarray | Array, "*b 2 3"]:
    """From pixels of a crop of `size` px to pixels of a picture of `stored` px in which the head
    stands as `where` says."""
    xp = where.shift.__array_namespace__()
    turn, half = where.matrix(), (stored - 1) / 2
    # Crop pixel k -> canonical position -> picture in [-1, 1] -> picture pixel.
    step = 2 * FACE_HALF / (size - 1)
    corner = (np.array(FACE_CENTRE) - FACE_HALF).astype(turn.dtype)
    offset = half * (applied(turn, corner) + where.shift + 1)
    return xp.concatenate([half * step * turn, offset[..., None]], axis=-1)


def cut(
    image: PortraitArray,
    where: InPlaneTransform,
    size: int,
    warp: Float[np.ndarray, "size size 2"] | None = None,
) -> PortraitArray:
    """What `vasa_jax.face.motion.face_crop` cuts, by OpenCV on the host.

    where: roll, place and log scale of the head. warp: added to where each pixel of the crop comes
    from, in pixels of the crop.
    """
    import cv2

    matrix, border = cut_sampling(where, image.shape[0], size), cv2.BORDER_REPLICATE
    if warp is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=border)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + warp
    places = (pixels @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=border)


def symmetric(
    moves: Float[np.ndarray | Array, "*b 4 4 2"], size: int
) -> Float[np.ndarray | Array, "*b 4 4 2"]:
    """Displacements (x, y) of the warp's control points in pixels of the crop, each the mirror
    image of its other side's, out of standard normal ones."""
    few = moves * (WARP * size)
    sides = np.array([-1, 1], few.dtype)
    return (few + few[..., ::-1, :] * sides) / math.sqrt(2)


def smooth_warp(moves: Float[np.ndarray, "4 4 2"], size: int) -> Float[np.ndarray, "size size 2"]:
    """A smooth displacement (x, y) in pixels, the mirror image of itself, out of standard normal
    ones of its control points."""
    import cv2

    few = symmetric(moves, size).astype(np.float32)
    return cv2.resize(few, (size, size), interpolation=cv2.INTER_CUBIC)


def make_crop(
    image: PortraitArray,
    pose: Float[np.ndarray, "7"],
    labels: dict[str, np.ndarray],
    size: int,
    draws: CropAugmentation | None,
) -> tuple[PortraitArray, dict[str, np.ndarray]]:
    """The crop of a picture whose head has `pose`, and its labels; draws None: nothing is changed
    in it."""
    if draws is None:
        return cut(image, InPlaneTransform(pose[2], pose[3:5], pose[6]), size), labels
    off = draws.off
    where = InPlaneTransform(pose[2] + off[0], pose[3:5] + off[1:3], pose[6] + off[3])
    crop = cut(image, where, size, smooth_warp(draws.moves, size))
    crop = augment.recolour(crop, draws.colours)
    if draws.flip:  # the crop is about the face's middle: mirroring keeps it there
        crop = np.ascontiguousarray(crop[:, ::-1])
        labels = {name: FLIPS[name](value) for name, value in labels.items()}
    return crop, labels


class FaceCrops(GroupReader, Iterator[DynEncoderBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    In the order of `GroupReader`. Half of the pictures are mirrored, colours and crop are jittered,
    proportions changed (`plain`: nothing of that). Raises UserError where `GroupReader` does, and
    for groups without ARKit labels or gaze.
    """

    def __init__(self, folder: Path, config: Config, seed: int = 0, plain: bool = False):
        super().__init__(folder, config.train_face.batch, seed, 2)
        if any(group.arkit is None or group.gaze is None for group in self._groups):
            raise UserError(f"{folder}: its groups lack ARKit coefficients or gaze")
        self.struct = dyn_encoder_struct(config)
        self._size, self._plain = config.face.dyn_crop, plain

    def __iter__(self) -> "FaceCrops":
        return self

    def __next__(self) -> DynEncoderBatch:
        rows = self._take(self._example)
        crops = np.stack([row[0] for row in rows]) / np.float32(255)
        labels = {k: np.stack([row[1][k] for row in rows]).astype(np.float32) for k in NAMES}
        return DynEncoderBatch(crops, **labels)

    def _example(self, group: SwapGroup, rng: np.random.Generator):
        image, (i, p, d) = draw_picture(group, rng)
        pose = np.concatenate(
            [group.rotation[i, p], group.translation[i, p], group.log_scale[i, p]], dtype=np.float64
        )
        labels = {
            "rotation": group.rotation[i, p],
            "gaze": group.gaze[p, d],
            "arkit": group.arkit[d],
        }
        return make_crop(
            image, pose, labels, self._size, None if self._plain else sample_crop_augmentation(rng)
        )
