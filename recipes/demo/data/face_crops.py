"""Face crops of swap groups, aligned by the exact head pose: examples for the dynamics encoder."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from recipes.demo.stages.dyn_encoder_step import DynEncoderBatch, dyn_encoder_struct
from vasa_jax.config import Config
from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.loading.group_reader import GroupReader, draw_picture
from vasa_jax.data_pipeline.loading.pairs import FLIPS, AnyArray
from vasa_jax.data_pipeline.loading.pose_examples import InPlaneTransform, applied
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.errors import UserError
from vasa_jax.extensions.face_crop import FACE_CENTRE, FACE_HALF
from vasa_jax.typing import Array, Bool, Float, PortraitArray

JITTER = np.array([0.05, 0.02, 0.02, 0.06])
"""Spread of roll (rad), x, y (half images) and log scale: the errors of a pose encoder."""
COLOURS = augment.Jitter(0.25, 0.25, 0.25, 0.04)
WARP, POINTS = 0.01, 4
"""Spread of a smooth symmetric warp, a share of the crop's side, and its control points a side. It
changes a face's proportions, so that the encoder learns people's neutral faces less by heart."""
NAMES = ("rotation", "gaze", "arkit")


class CropAugmentation(NamedTuple):
    """A sampled augmentation of one crop, or of a batch of them."""

    off: Float[AnyArray, "*b 4"]  # added to roll, x, y and log scale
    moves: Float[AnyArray, "*b 4 4 2"]  # of the warp's control points, standard normal
    colours: Float[AnyArray, "*b 3 4"]  # an affine map of RGB
    flip: Bool[AnyArray, "*b"]


def sample_crop_augmentation(rng: np.random.Generator) -> CropAugmentation:
    """An augmentation for `make_crop`; half of them mirror."""
    off = rng.normal(size=4) * JITTER
    moves = rng.normal(size=(POINTS, POINTS, 2))
    colours = augment.draw_colours(rng, COLOURS)
    return CropAugmentation(off, moves, colours, np.array(rng.random() < 0.5))


def cut_sampling(where: InPlaneTransform, stored: int, size: int) -> Float[AnyArray, "*b 2 3"]:
    """From pixels of a crop of `size` px to pixels of an image of `stored` px whose head has the
    in-plane pose `where`."""
    xp: Any = where.shift.__array_namespace__()
    half = (stored - 1) / 2
    turn: Any = where.matrix()
    # Crop pixel k -> canonical position -> image in [-1, 1] -> image pixel.
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
    """What `vasa_jax.extensions.face_crop` cuts, by OpenCV on the host.

    where: in-plane pose of the head. warp: added to each pixel's coordinates, pixels of the crop.
    """
    import cv2

    matrix = np.asarray(cut_sampling(where, image.shape[0], size))
    border, no_map = cv2.BORDER_REPLICATE, cast(Any, None)  # OpenCV's stubs want a second map
    if warp is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=border)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + warp
    places = (pixels @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return cv2.remap(image, places, no_map, cv2.INTER_LINEAR, borderMode=border)


def symmetric(moves: Float[np.ndarray | Array, "*b 4 4 2"], size: int) -> Any:
    """Displacements (x, y) (*b, 4, 4, 2) of the warp's control points, pixels of the crop, mirrored
    left and right, from standard normal ones."""
    few = moves * (WARP * size)
    sides = np.array([-1, 1], few.dtype)
    return (few + few[..., ::-1, :] * sides) / math.sqrt(2)


def smooth_warp(moves: Float[np.ndarray, "4 4 2"], size: int) -> Float[np.ndarray, "size size 2"]:
    """A smooth symmetric displacement (x, y), pixels, from standard normal ones of its control
    points."""
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
    """The crop of an image whose head has `pose`, and its labels, under an augmentation or none."""
    if draws is None:
        return cut(image, InPlaneTransform(pose[2], pose[3:5], pose[6]), size), labels
    off = draws.off
    where = InPlaneTransform(pose[2] + off[0], pose[3:5] + off[1:3], pose[6] + off[3])
    crop = cut(image, where, size, smooth_warp(draws.moves, size))
    crop = augment.recolour(crop, draws.colours)
    if draws.flip:  # the crop is centred on the face: mirroring keeps it there
        crop = np.ascontiguousarray(crop[:, ::-1])
        labels = {name: FLIPS[name](value) for name, value in labels.items()}
    return crop, labels


class FaceCrops(GroupReader, Iterator[DynEncoderBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    In the order of `GroupReader`. plain: without augmentation. Raises UserError where `GroupReader`
    does, and for groups without ARKit labels or gaze.
    """

    def __init__(self, folder: Path, config: Config, seed: int = 0, plain: bool = False):
        super().__init__(folder, config.train_face.batch, seed, 2)
        if any(group.arkit is None or group.gaze is None for group in self._groups):
            raise UserError(f"{folder}: its groups lack ARKit coefficients or gaze")
        self.struct = dyn_encoder_struct(config)
        self._size, self._plain = config.face.extensions.dyn_crop, plain

    def __iter__(self) -> "FaceCrops":
        return self

    def __next__(self) -> DynEncoderBatch:
        rows = self._take(self._example)
        crops = np.stack([row[0] for row in rows]) / np.float32(255)
        fields: dict[str, Any] = {
            k: np.stack([row[1][k] for row in rows]).astype(np.float32) for k in NAMES
        }
        return DynEncoderBatch(**fields | {"crop": crops})

    def _example(self, group: SwapGroup, rng: np.random.Generator):
        assert group.gaze is not None  # checked when they were read
        assert group.arkit is not None
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
