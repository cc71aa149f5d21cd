"""Single pictures of swap groups, turned, moved and scaled in their plane, with the exact pose."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.augment_flip import flip_rotation, flip_translation
from vasa_jax.data_pipeline.loading.group_reader import GroupReader, draw_picture
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.training.pose_step import PoseBatch, pose_struct
from vasa_jax.typing import Float, PortraitArray, Pose

SPREAD = np.array([0.15, 0.06, 0.06, 0.1])
"""Standard deviations of roll (rad), x, y (half pictures) and log scale."""


class Turn(NamedTuple):
    """A similarity of the picture's plane: p -> exp(log_scale) Rz(roll) p + shift, in half
    pictures about the middle."""

    roll: float
    shift: Float[np.ndarray, "2"]
    log_scale: float

    def matrix(self) -> Float[np.ndarray, "2 2"]:
        """exp(log_scale) Rz(roll)."""
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return np.exp(self.log_scale) * np.array([[cos, -sin], [sin, cos]])

    def picture(self, image: PortraitArray, size: int) -> PortraitArray:
        """The turned picture at another size, bilinear; its edges go on beyond it."""
        import cv2

        turn = np.linalg.inv(self.matrix())
        small, large = (size - 1) / 2, (image.shape[0] - 1) / 2
        if large > 1.2 * small:  # bilinear samples would skip pixels
            image = cv2.GaussianBlur(image, (0, 0), 0.5 * large / small)
        # Pixel of the result -> half pictures -> half pictures of the original -> its pixel.
        linear = turn * large / small
        offset = large * (1 - turn @ (1 + self.shift))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            image, np.column_stack([linear, offset]), (size, size), flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip

    def pose(self, pose: Pose) -> Pose:
        """The head's pose (one, without a batch) in the turned picture: R = Rz(roll) Ry Rx and
        M = exp(log_scale) R take the turn from the left."""
        rotation = pose.rotation + np.array([0, 0, self.roll])
        place = np.append(self.matrix() @ pose.translation[:2] + self.shift,
                          np.exp(self.log_scale) * pose.translation[2])  # fmt: skip
        return Pose(rotation, place, pose.log_scale + self.log_scale)


class TurnedFiles(GroupReader, Iterator[PoseBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    In the order of `GroupReader`. Half of the pictures are mirrored, colours are jittered (`plain`:
    nothing of that, and no turn). Raises UserError where `GroupReader` does.
    """

    def __init__(self, folder: Path, config: Config, seed: int = 0, plain: bool = False):
        super().__init__(folder, config.train_face.batch, seed, 3)
        self.struct, self._plain = pose_struct(config), plain
        self._size = config.face.motion_image_size

    def __iter__(self) -> "TurnedFiles":
        return self

    def __next__(self) -> PoseBatch:
        images, poses = zip(*self._take(self._example), strict=True)
        pose = Pose(*(np.stack(values).astype(np.float32) for values in zip(*poses, strict=True)))
        return PoseBatch(np.stack(images) / np.float32(255), pose)

    def _example(self, group: SwapGroup, rng: np.random.Generator):
        image, (i, p, _) = draw_picture(group, rng)
        pose = Pose(group.rotation[i, p], group.translation[i, p], group.log_scale[i, p])
        draws = np.zeros(4) if self._plain else rng.normal(size=4) * SPREAD
        if not self._plain:
            image = augment.recolour(image, augment.draw_colours(rng, augment.STRONG))
            if rng.random() < 0.5:
                image = np.ascontiguousarray(image[:, ::-1])
                pose = Pose(flip_rotation(pose.rotation), flip_translation(pose.translation),
                            pose.log_scale)  # fmt: skip
        turn = Turn(draws[0], draws[1:3], draws[3])
        return turn.picture(image, self._size), turn.pose(pose)
