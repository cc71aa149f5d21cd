"""Rendered ground-truth transfers of a folder of group files, for the generator.

Needs neither grain nor TFDS: the groups' JPEG bytes lie in memory and threads decode them (OpenCV
releases Python's lock).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.batches import face_struct, swap_batch, swap_struct
from vasa_jax.data_pipeline.loading.correspondence import decode_places
from vasa_jax.data_pipeline.loading.group_reader import GroupReader
from vasa_jax.data_pipeline.loading.image_codec import shrink
from vasa_jax.data_pipeline.loading.pairs import Augment
from vasa_jax.data_pipeline.loading.sizes import check_size
from vasa_jax.data_pipeline.loading.transfer_examples import (
    PICTURES,
    make_transfer,
    sample_transfer,
)
from vasa_jax.data_pipeline.swaps import SwapGroup
from vasa_jax.errors import UserError
from vasa_jax.extensions.transfer_targets import from_swaps
from vasa_jax.face.batch import FaceBatch

LABELS = {"points": "points", "gaze": "gaze", "arkit": "arkit", "masks": "mask"}
"""Fields that a group may lack, and their names in a batch."""


class SwapGroups(GroupReader, Iterator[FaceBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    In the order of `GroupReader`. Images are shrunk to the config's size; the motion encoder's
    views keep the size of the files, so that one corpus serves training at growing sizes.

    batch: global (default: the config's train_face.batch). threads: default one a core.
    Attributes: struct, the global batch's shapes; ahead, see `vasa_jax.training.prefetch`.

    Raises UserError where `GroupReader` does, for groups of different sizes or labels, and for
    pictures smaller than the config's. Where the config asks for flows (`exact.flow`), groups
    without places are left out.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        batch: int | None = None,
        seed: int = 0,
        augment: Augment | None = None,
        threads: int | None = None,
    ):
        size = config.train_face.batch if batch is None else batch
        super().__init__(folder, size, seed, 1, threads)
        # Flows are found by places, which not every group has.
        self._flows = config.face_losses.transfer.flow + config.face_losses.transfer.blend_masks > 0
        if self._flows:
            self._groups = [group for group in self._groups if group.places is not None]
        if not self._groups:
            raise UserError(
                f"{folder}: none of its groups tells which place of a head is seen "
                "where; make them anew, or --set face_losses.transfer.flow=0 --set "
                "face_losses.transfer.blend_masks=0"
            )
        self._pixels, self._how = config.face.image_size, Augment() if augment is None else augment
        names = sorted({name for group in self._groups for name in group.identity})
        self._codes = {name: number for number, name in enumerate(names)}
        kinds = {(g.size, *(g._asdict()[k] is None for k in LABELS)) for g in self._groups}
        if len(kinds) > 1:
            raise UserError(f"{folder}: its groups differ in size or labels; keep such apart")
        first = self._groups[0]
        check_size(folder, first.size, config, "synth")
        self._stored = first.size
        labels = tuple(name for k, name in LABELS.items() if getattr(first, k) is not None)
        views = dict.fromkeys(self._views(), first.size)
        flow = 0
        if self._flows and first.places is not None:
            flow = len(decode_places(first.places[0])[1])
        swaps = swap_struct(size, self._pixels, labels, views, flow)
        self.struct: FaceBatch = face_struct(swaps, size)

    def __iter__(self) -> "SwapGroups":
        return self

    def __next__(self) -> FaceBatch:
        rows = self._take(self._example)
        arrays = {k: np.stack([row[k] for row in rows]) for k in rows[0]}
        arrays = {k: v / np.float32(255) if v.dtype == np.uint8 else v for k, v in arrays.items()}
        return from_swaps(swap_batch(arrays), arrays["own"])

    def _views(self) -> tuple[str, ...]:
        """Images of which the motion encoder sees another version."""
        return ("source", "driver", "swap") if self._pixels < self._stored else self._how.views

    def _example(self, group: SwapGroup, rng: np.random.Generator) -> dict[str, np.ndarray]:
        example = make_transfer(
            sample_transfer(group, self._codes, rng, self._how),
            self._stored,
            self._how,
            rng,
            group.masks is not None,
            self._flows,
        )
        for name in self._views():
            example.setdefault(f"{name}_view", example[name])
        if self._pixels < self._stored:
            for name in (*PICTURES, *(f"{name}_mask" for name in PICTURES)):
                if name in example:
                    example[name] = shrink(example[name], self._pixels)
        return example
