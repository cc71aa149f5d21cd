"""Exact swaps from a folder of group files, with OpenCV and threads alone.

For machines without grain and TFDS, such as a borrowed accelerator: the groups' JPEG bytes all lie
in memory, threads decode them (OpenCV lets them run side by side).
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline.loading.batches import face_struct, swap_batch, swap_struct
from vasa_jax.data_pipeline.loading.pairs import Augment
from vasa_jax.data_pipeline.loading.quads import PICTURES, make_quad, raw_quad
from vasa_jax.data_pipeline.swaps import find_groups, read_group
from vasa_jax.errors import UserError
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.exact import from_swaps

LABELS = {"points": "points", "gaze": "gaze", "arkit": "arkit", "masks": "mask"}
"""What a group may lack, and its name in a batch."""


class GroupFiles(Iterator[FaceBatch]):
    """An endless, shuffled, checkpointable iterator over `folder`/**/*.npz of `write_group`.

    Every group is visited once an epoch for one example, in an order that depends on seed and
    epoch; the n-th example is the same bytes in every run. Hosts read disjoint groups. Pictures are
    shrunk to the config's size, while the motion encoder's views keep the size of the files, so
    that one corpus serves training at growing sizes.

    batch: global (default: the config's train_face.batch). threads: default one a core.
    Attributes: struct, the global batch's shapes; ahead, see `vasa_jax.training.prefetch`.

    Raises UserError for a folder without groups, for unreadable ones, for groups of different sizes
    or labels, for pictures smaller than the config's, and for fewer groups than hosts.
    """

    ahead = 2

    def __init__(
        self,
        folder: Path,
        config: Config,
        batch: int | None = None,
        seed: int = 0,
        augment: Augment | None = None,
        threads: int | None = None,
    ):
        files = find_groups(folder)
        host, hosts = jax.process_index(), jax.process_count()
        size = config.train_face.batch if batch is None else batch
        if len(files) < hosts or size % hosts:
            raise UserError(f"{folder}: {len(files)} groups and a batch of {size} cannot be shared "
                            f"by {hosts} hosts")  # fmt: skip
        self._pixels, self._batch, self._seed = config.face.image_size, size // hosts, seed
        self._how = Augment() if augment is None else augment
        threads = os.cpu_count() or 1 if threads is None else threads
        self._pool = ThreadPoolExecutor(threads)
        self._groups = list(self._pool.map(read_group, files[host::hosts]))
        names = sorted({name for group in self._groups for name in group.identity})
        self._codes = {name: number for number, name in enumerate(names)}
        self._next = 0
        kinds = {(g.size, *(g._asdict()[k] is None for k in LABELS)) for g in self._groups}
        if len(kinds) > 1:
            raise UserError(f"{folder}: its groups differ in size or labels; keep such apart")
        first = self._groups[0]
        if first.size < self._pixels:
            raise UserError(f"{folder}: holds pictures of {first.size} px, config {config.name!r} "
                            f"wants {self._pixels} px; make them larger, or --set "
                            f"face.image_size={first.size}")  # fmt: skip
        self._stored = first.size
        labels = tuple(name for k, name in LABELS.items() if getattr(first, k) is not None)
        views = {f"{name}_view": first.size for name in self._views()}
        self.struct: FaceBatch = face_struct(swap_struct(size, self._pixels, labels, views), size)

    def __iter__(self) -> "GroupFiles":
        return self

    def __next__(self) -> FaceBatch:
        numbers = range(self._next, self._next + self._batch)
        rows = list(self._pool.map(self._example, numbers))
        self._next += self._batch
        arrays = {k: np.stack([row[k] for row in rows]) for k in rows[0]}
        arrays = {k: v / np.float32(255) if v.dtype == np.uint8 else v for k, v in arrays.items()}
        return from_swaps(swap_batch(arrays), arrays["own"])

    def state(self) -> dict[str, Any]:
        """The place of the next batch."""
        return {"next": self._next, "groups": len(self._groups), "seed": self._seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a place; raises UserError when the folder holds another number of groups."""
        if (state["groups"], state["seed"]) != (len(self._groups), self._seed):
            raise UserError(f"the run was saved with {state['groups']} groups of swaps and seed "
                            f"{state['seed']}, now there are {len(self._groups)} and "
                            f"{self._seed}; bring them back, or start a new --workdir")  # fmt: skip
        self._next = state["next"]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _views(self) -> tuple[str, ...]:
        """Pictures that the motion encoder sees otherwise than they are drawn."""
        return ("source", "driver", "swap") if self._pixels < self._stored else self._how.views

    def _example(self, number: int) -> dict[str, np.ndarray]:
        import cv2

        epoch, place = divmod(number, len(self._groups))
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._groups))
        rng = np.random.default_rng((self._seed, epoch, place, 1))
        group = self._groups[order[place]]
        quad = make_quad(
            raw_quad(group, self._codes, rng), self._stored, self._how, rng, group.masks is not None
        )
        for name in self._views():
            quad.setdefault(f"{name}_view", quad[name])
        if self._pixels < self._stored:
            side = (self._pixels, self._pixels)
            for name in (*PICTURES, *(f"{name}_mask" for name in PICTURES)):
                if name in quad:
                    small = cv2.resize(quad[name], side, interpolation=cv2.INTER_AREA)
                    quad[name] = small.reshape(*side, -1)
        return quad
