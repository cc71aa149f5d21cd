"""Images of swap groups under in-plane transforms with their exact pose, for the pose encoder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.group_reader import GroupReader, draw_picture
from vasa_jax.data_pipeline.loading.pose_examples import sample_pose_augmentation, transformed_image
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.training.pose_trainer import PoseBatch, pose_struct
from vasa_jax.typing import Pose


class PoseImages(GroupReader, Iterator[PoseBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    In the order of `GroupReader`. plain: only resized. Raises UserError where `GroupReader` does.
    """

    def __init__(self, folder: Path, config: Config, seed: int = 0, plain: bool = False):
        super().__init__(folder, config.train_pose.batch, seed, 3)
        self.struct, self._plain = pose_struct(config), plain
        self._size = config.face.motion_image_size

    def __iter__(self) -> "PoseImages":
        return self

    def __next__(self) -> PoseBatch:
        images, poses = zip(*self._take(self._example), strict=True)
        parts: Any = [np.stack(values).astype(np.float32) for values in zip(*poses, strict=True)]
        image: Any = np.stack(images) / np.float32(255)
        return PoseBatch(image, Pose(*parts))

    def _example(self, group: SwapGroup, rng: np.random.Generator):
        image, (i, p, _) = draw_picture(group, rng)
        pose = Pose(group.rotation[i, p], group.translation[i, p], group.log_scale[i, p])
        return transformed_image(
            image, pose, self._size, None if self._plain else sample_pose_augmentation(rng)
        )
