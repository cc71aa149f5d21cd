"""Pairs of crops for the face refiner: a decoded frame and its exact render, beside the portrait.

`write_pairs` lays them down with a margin; `RefinerPairs` cuts them with some jitter, mirrors them
and changes their colours, all three crops alike.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vasa_jax.angles import MIRRORED_ROTATION
from vasa_jax.data_pipeline.arrays import read_arrays, write_arrays
from vasa_jax.data_pipeline.augment import STRONG, draw_colours
from vasa_jax.data_pipeline.augment_flip import SWAPPED_ARKIT
from vasa_jax.errors import UserError
from vasa_jax.training.refiner_step import RefinerBatch, refiner_struct
from vasa_jax.typing import ARKIT, Float, UInt8

MARGIN = 1.1875
"""Side of a stored crop, in sides of the crop that the refiner sees."""
_SHIFT, _ROLL, _GROW = 0.035, 0.05, 0.05
"""Spread of the jitter: shares of the crop's side, radians, log scale."""
_ARRAYS = ("frame", "target", "portrait", "source", "motion")


def write_pairs(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """frame, target: (n, m, m, 3) uint8, m = MARGIN crops; portrait: (p, m, m, 3) uint8; source:
    (n,) row of its portrait; motion: (n, k), as `RefinerBatch`."""
    write_arrays(path, "pairs of crops", {name: arrays[name] for name in _ARRAYS}, {})


class RefinerPairs(Iterator[RefinerBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/*.npz of `write_pairs`.

    Raises UserError for a folder without them.
    """

    ahead = 2

    def __init__(self, folder: Path, config, seed: int = 0, augment: bool = True):
        files = sorted(Path(folder).glob("*.npz"))
        if not files:
            raise UserError(f"{folder}: holds no pairs of crops (*.npz); make them first")
        found = [read_arrays(file, ())[0] for file in files]
        starts = np.cumsum([0, *(len(x["portrait"]) for x in found[:-1])])
        join = lambda name: np.concatenate([x[name] for x in found])  # noqa: E731
        self._frame, self._target, self._portrait = map(join, ("frame", "target", "portrait"))
        self._motion = join("motion").astype(np.float32)
        self._source = np.concatenate([x["source"] + s for x, s in zip(found, starts, strict=True)])
        self.struct = refiner_struct(config)
        self._size, self._batch = config.face.refiner, config.train_face.batch
        self._seed, self._augment, self._next = seed, augment, 0
        self._order = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self._frame)

    def state(self) -> dict[str, Any]:
        """The place of the next batch."""
        return {"next": self._next, "pairs": len(self), "seed": self._seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a place; raises UserError for another number of pairs."""
        if (state["pairs"], state["seed"]) != (len(self), self._seed):
            raise UserError(f"the run was saved with {state['pairs']} pairs and seed "
                            f"{state['seed']}, now there are {len(self)} and {self._seed}; "
                            "start a new --workdir")  # fmt: skip
        self._next = state["next"]

    def __next__(self) -> RefinerBatch:
        rows = [self._example(k) for k in range(self._next, self._next + self._batch)]
        self._next += self._batch
        frame, portrait, target, motion = (np.stack(column) for column in zip(*rows, strict=True))
        scale = np.float32(1 / 255)
        return RefinerBatch(frame * scale, portrait * scale, target * scale, motion)

    def _example(self, number: int):
        epoch, place = divmod(number, len(self))
        if self._order[0] != epoch:
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self))
            self._order = (epoch, order)
        k = self._order[1][place]
        rng = np.random.default_rng((self._seed, epoch, place))
        frame, target = self._frame[k], self._target[k]
        portrait, motion = self._portrait[self._source[k]], self._motion[k]
        if not self._augment:
            centre = _jitter(None, frame.shape[0], self._size)
            return *(_cut(x, centre, self._size) for x in (frame, portrait, target)), motion
        # Frame and render are cut alike; the portrait, whose pose is read too, by itself.
        cuts = [_jitter(rng, frame.shape[0], self._size) for _ in range(2)]
        crops = [_cut(x, cuts[c], self._size) for x, c in ((frame, 0), (portrait, 1), (target, 0))]
        colours = draw_colours(rng, STRONG) * np.array([1, 1, 1, 255], np.float32)
        gamma = np.float32(np.exp(rng.uniform(-0.25, 0.25)))
        table = (255 * (np.arange(256) / 255) ** gamma + 0.5).astype(np.uint8)
        crops = [cv2.LUT(cv2.transform(x, colours), table) for x in crops]
        if rng.random() < 0.5:
            crops = [x[:, ::-1] for x in crops]
            motion = flip_condition(motion)
        return *crops, motion


def flip_condition(motion: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """`RefinerBatch.motion` of the mirrored picture; z_dyn as in `vasa_jax.face.label_code`."""
    half = len(motion) // 2
    out = []
    for part in (motion[:half], motion[half:]):
        dyn, rotation = part[:-3].copy(), part[-3:]
        dyn[: len(ARKIT)] = dyn[list(SWAPPED_ARKIT)]
        dyn[len(ARKIT)] *= -1  # yaw of the eyes in the head
        out += [dyn, rotation * np.array(MIRRORED_ROTATION, np.float32)]
    return np.concatenate(out)


def _jitter(rng: np.random.Generator | None, stored: int, size: int) -> Float[np.ndarray, "2 3"]:
    """The affine map from a stored crop's pixels to those of what is cut out of it."""
    middle = (stored - 1) / 2
    angle = grow = 0.0
    shift = np.zeros(2)
    if rng is not None:
        most = np.array([1.0, 1.0])
        shift = np.clip(rng.standard_normal(2) * _SHIFT, -0.06 * most, 0.06 * most) * size
        angle, grow = (np.clip(rng.standard_normal(2), -1.5, 1.5) * (_ROLL, _GROW)).tolist()
    cos, sin = np.exp(grow) * np.cos(angle), np.exp(grow) * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    offset = (size - 1) / 2 + shift - turn @ [middle, middle]
    return np.concatenate([turn, offset[:, None]], 1).astype(np.float32)


def _cut(
    crop: UInt8[np.ndarray, "m m 3"], matrix: Float[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "s s 3"]:
    return cv2.warpAffine(
        crop, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
