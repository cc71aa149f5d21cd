"""Single pictures of swap groups as crops held in place by their exact pose, with their labels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.loading.group_reader import GroupReader, draw_picture
from vasa_jax.data_pipeline.loading.pairs import FLIPS
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.errors import UserError
from vasa_jax.face.motion import FACE_CENTRE, FACE_HALF
from vasa_jax.training.reader_step import ReaderBatch, reader_struct
from vasa_jax.typing import Float, PortraitArray

JITTER = np.array([0.05, 0.02, 0.02, 0.06])
"""Spread of roll (rad), x, y (half pictures) and log scale: what a pose encoder gets wrong."""
COLOURS = augment.Jitter(0.25, 0.25, 0.25, 0.04)
WARP, POINTS = 0.01, 4
"""Spread of a smooth symmetric warp, as a share of the crop's side, and its control points a side:
other proportions of the same face. An encoder learns the resting faces of the people it is shown,
and then takes a stranger's high brows for raised ones; this puts that off."""
NAMES = ("rotation", "gaze", "arkit")


def cut(
    image: PortraitArray,
    roll: float,
    place: Float[np.ndarray, "2"],
    log_scale: float,
    size: int,
    warp: Float[np.ndarray, "size size 2"] | None = None,
) -> PortraitArray:
    """What `vasa_jax.face.motion.face_crop` cuts, by OpenCV on the host.

    warp: added to where each pixel of the crop comes from, in pixels of the crop.
    """
    import cv2

    grow, half = np.exp(log_scale), (image.shape[0] - 1) / 2
    turn = grow * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    # Crop pixel k -> canonical position -> picture in [-1, 1] -> picture pixel.
    step = 2 * FACE_HALF / (size - 1)
    matrix = np.empty((2, 3))
    matrix[:, :2] = half * step * turn
    corner = np.array(FACE_CENTRE) - FACE_HALF
    matrix[:, 2] = half * (turn @ corner + place + 1)
    border = cv2.BORDER_REPLICATE
    if warp is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=border)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + warp
    places = (pixels @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=border)


def draw_warp(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size 2"]:
    """A smooth displacement (x, y) in pixels, the mirror image of itself."""
    import cv2

    few = rng.normal(size=(POINTS, POINTS, 2)) * WARP * size
    few = (few + few[:, ::-1] * (-1, 1)) / np.sqrt(2)
    return cv2.resize(few.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


class CropFiles(GroupReader, Iterator[ReaderBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    In the order of `GroupReader`. Half of the pictures are mirrored, colours and crop are jittered,
    proportions changed (`plain`: nothing of that). Raises UserError where `GroupReader` does, and
    for groups without ARKit labels or gaze.
    """

    def __init__(self, folder: Path, config: Config, seed: int = 0, plain: bool = False):
        super().__init__(folder, config.train_face.batch, seed, 2)
        if any(group.arkit is None or group.gaze is None for group in self._groups):
            raise UserError(f"{folder}: its groups lack ARKit coefficients or gaze")
        self.struct = reader_struct(config)
        self._size, self._plain = config.face.dyn_crop, plain

    def __iter__(self) -> "CropFiles":
        return self

    def __next__(self) -> ReaderBatch:
        rows = self._take(self._example)
        crops = np.stack([row[0] for row in rows]) / np.float32(255)
        labels = {k: np.stack([row[1][k] for row in rows]).astype(np.float32) for k in NAMES}
        return ReaderBatch(crops, **labels)

    def _example(self, group: SwapGroup, rng: np.random.Generator):
        image, (i, p, d) = draw_picture(group, rng)
        pose = np.concatenate(
            [group.rotation[i, p], group.translation[i, p], group.log_scale[i, p]]
        )
        labels = {"rotation": pose[:3], "gaze": group.gaze[p, d], "arkit": group.arkit[d]}
        off = np.zeros(4) if self._plain else rng.normal(size=4) * JITTER
        roll, grow = float(pose[2] + off[0]), float(pose[6] + off[3])
        warp = None if self._plain else draw_warp(rng, self._size)
        crop = cut(image, roll, pose[3:5] + off[1:3], grow, self._size, warp)
        if not self._plain:
            crop = augment.recolour(crop, augment.draw_colours(rng, COLOURS))
            if rng.random() < 0.5:  # the crop is about the face's middle: mirroring keeps it there
                crop = np.ascontiguousarray(crop[:, ::-1])
                labels = {name: FLIPS[name](value) for name, value in labels.items()}
        return crop, labels
