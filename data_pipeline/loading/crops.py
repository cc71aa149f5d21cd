"""Single pictures of swap groups as crops held in place by their exact pose, with their labels."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.loading.pairs import FLIPS
from vasa_jax.data_pipeline.loading.pictures import decode_rgb
from vasa_jax.data_pipeline.swaps import SwapGroup, find_groups, read_group
from vasa_jax.errors import UserError
from vasa_jax.face.motion import FACE_CENTRE, FACE_HALF
from vasa_jax.training.reader_step import ReaderBatch, reader_struct
from vasa_jax.typing import Float, PortraitArray

JITTER = np.array([0.05, 0.02, 0.02, 0.06])
"""Spread of roll (rad), x, y (half pictures) and log scale: what a pose encoder gets wrong."""
COLOURS = augment.Jitter(0.25, 0.25, 0.25, 0.04)
NAMES = ("rotation", "gaze", "arkit")


def cut(
    image: PortraitArray,
    roll: float,
    place: Float[np.ndarray, "2"],
    log_scale: float,
    size: int,
) -> PortraitArray:
    """What `vasa_jax.face.motion.face_crop` cuts, by OpenCV on the host."""
    import cv2

    grow, half = np.exp(log_scale), (image.shape[0] - 1) / 2
    turn = grow * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    # Crop pixel k -> canonical position -> picture in [-1, 1] -> picture pixel.
    step = 2 * FACE_HALF / (size - 1)
    matrix = np.empty((2, 3))
    matrix[:, :2] = half * step * turn
    corner = np.array(FACE_CENTRE) - FACE_HALF
    matrix[:, 2] = half * (turn @ corner + place + 1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


class CropFiles(Iterator[ReaderBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    Each group gives one of its pictures an epoch. Half are mirrored, colours and crop are jittered
    (`plain`: nothing of that). The n-th example is the same bytes in every run. Raises UserError
    for a folder without groups and for groups without ARKit labels or gaze.
    """

    ahead = 2

    def __init__(self, folder: Path, config: Config, seed: int = 0, plain: bool = False):
        files = find_groups(folder)
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._groups: list[SwapGroup] = list(
            self._pool.map(read_group, files[jax.process_index() :: jax.process_count()])
        )
        if any(group.arkit is None or group.gaze is None for group in self._groups):
            raise UserError(f"{folder}: its groups lack ARKit coefficients or gaze")
        self.struct = reader_struct(config)
        self._batch = config.train_face.batch // jax.process_count()
        self._size, self._seed, self._plain, self._next = config.face.dyn_crop, seed, plain, 0

    def __iter__(self) -> "CropFiles":
        return self

    def __next__(self) -> ReaderBatch:
        rows = list(self._pool.map(self._example, range(self._next, self._next + self._batch)))
        self._next += self._batch
        crops = np.stack([row[0] for row in rows]) / np.float32(255)
        labels = {k: np.stack([row[1][k] for row in rows]).astype(np.float32) for k in NAMES}
        return ReaderBatch(crops, **labels)

    def state(self) -> dict[str, Any]:
        """The place of the next batch."""
        return {"next": self._next}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a place."""
        self._next = state["next"]

    def _example(self, number: int):
        epoch, place = divmod(number, len(self._groups))
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._groups))
        rng = np.random.default_rng((self._seed, epoch, place, 2))
        group = self._groups[order[place]]
        counts = group.counts()
        i, p, d = (int(rng.integers(n)) for n in counts)
        image = decode_rgb(group.images[int(np.ravel_multi_index((i, p, d), counts))], group.size)
        pose = np.concatenate(
            [group.rotation[i, p], group.translation[i, p], group.log_scale[i, p]]
        )
        labels = {"rotation": pose[:3], "gaze": group.gaze[p, d], "arkit": group.arkit[d]}
        off = np.zeros(4) if self._plain else rng.normal(size=4) * JITTER
        roll, grow = float(pose[2] + off[0]), float(pose[6] + off[3])
        crop = cut(image, roll, pose[3:5] + off[1:3], grow, self._size)
        if not self._plain:
            crop = augment.recolour(crop, augment.draw_colours(rng, COLOURS))
            if rng.random() < 0.5:  # the crop is about the face's middle: mirroring keeps it there
                crop = np.ascontiguousarray(crop[:, ::-1])
                labels = {name: FLIPS[name](value) for name, value in labels.items()}
        return crop, labels
