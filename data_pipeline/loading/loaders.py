"""Batches for stage 1, and for its pose encoder alone, out of a TFDS dataset of `vasa-jax prepare`
or `vasa-jax synth`.

Stage 2 reads motion that a face model made of the same dataset: see `vasa-jax extract-motion` and
`vasa_jax.training.motion_clips`.
"""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.config import Config
from vasa_jax.data_pipeline.datasets.read import find_dataset, maker_of, open_dataset
from vasa_jax.data_pipeline.loading.batches import KNOWN, face_struct, swap_batch, swap_struct
from vasa_jax.data_pipeline.loading.pairs import POSE, Augment
from vasa_jax.data_pipeline.loading.pose_examples import PoseImageOptions
from vasa_jax.data_pipeline.loading.record_order import RecordOrder
from vasa_jax.data_pipeline.loading.sizes import check_size
from vasa_jax.data_pipeline.loading.stream import Stream
from vasa_jax.data_pipeline.loading.transfer_examples import PICTURES
from vasa_jax.data_pipeline.loading.transforms import KINDS, ExampleTransform
from vasa_jax.errors import UserError, require_modules
from vasa_jax.extensions.transfer_targets import SwapBatch, from_swaps
from vasa_jax.face.batch import FaceBatch
from vasa_jax.training.face_batches import from_named, named
from vasa_jax.training.pose_trainer import PoseBatch, pose_struct
from vasa_jax.typing import Pose

MOST_WORKERS = 16


def default_workers() -> int:
    """Processes that decode: one for every core that this host may use but one, 16 at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_WORKERS, max(1, (cores or 1) - 1))


class _Loader(ABC):
    """What the loaders share. An endless, shuffled, checkpointable iterator.

    Every record is visited once an epoch, in an order that depends on seed and epoch, and gives
    `draws` examples, which lie up to `spread * draws` batches apart. In an epoch hosts read
    disjoint records, each for its rows of the batches. The same dataset, batch, seed and number of
    workers give the same bytes on any number of hosts, after `restore` too (which brings the saved
    run's number of workers back).

    folder: of the dataset, or one above it. batch: the global batch size (default: the config's
    train_face.batch). workers: processes that read and decode (0: this one; default: one a core).
    process_index, process_count: this host (default: as JAX says).
    Attributes: struct, the global batch's shapes; dataset; count, of all hosts' records; labelled,
    how many of them have a field, by its name.

    Larger pictures are shrunk to the config's size. Raises UserError for a folder without such a
    dataset, pictures that are smaller than the config's, a split that is not there, and, while
    iterating, for broken records.
    """

    KIND = "pair"
    ahead = 2
    """Batches that the training loop may take and put on the devices before they are needed."""
    any_hosts = True
    """A place is the same on every host, however many there are."""
    struct: Any

    def __init__(
        self,
        folder: Path,
        config: Config,
        batch: int | None = None,
        seed: int = 0,
        *,
        split: str = "train",
        augment: Augment | PoseImageOptions | None = None,
        workers: int | None = None,
        draws: int = 4,
        spread: int = 4,
        process_index: int | None = None,
        process_count: int | None = None,
    ):
        require_modules("grain", "tensorflow_datasets")
        host = jax.process_index() if process_index is None else process_index
        hosts = jax.process_count() if process_count is None else process_count
        size = config.train_face.batch if batch is None else batch
        self.dataset = open_dataset(folder, KINDS[self.KIND].records)
        place, pixels = self.dataset.folder, self._pixels(config)
        if split not in self.dataset.splits:
            raise UserError(
                f"{place}: has no split {split!r}; it has {', '.join(self.dataset.splits)}"
            )
        index = self.dataset.splits[split]
        if size % hosts:
            raise UserError(f"a batch of {size} cannot be shared by {hosts} hosts")
        self.labelled, self.count = dict(index.has), len(index.ids)
        self._how = Augment() if augment is None else augment
        names = sorted({person for people in index.identity for person in people})
        codes = {name: number for number, name in enumerate(names)}
        self._all = {name for name, count in index.has.items() if count == len(index.ids)}
        self._some = {name for name, count in index.has.items() if count}
        plan = RecordOrder(
            [codes[who[0]] for who in index.identity],
            size,
            seed,
            range(host * size // hosts, (host + 1) * size // hosts),
            draws=draws,
            spread=spread,
        )
        transform = ExampleTransform(
            place,
            self.KIND,
            split,
            ids=list(index.ids),
            people=list(index.identity),
            codes=codes,
            plan=plan,
            size=pixels,
            stored=self.dataset.size,
            how=self._how,
            masks="masks" in self._all,
        )
        self._mark = [size, seed, draws, spread, split, len(index.ids), index.ids[0]]
        self.struct = self._shapes(size, pixels)
        self._stream = Stream(transform, default_workers() if workers is None else workers)

    @property
    def has_pose(self) -> bool:
        """Whether any record knows the poses of its heads."""
        return self._some >= set(POSE)

    def __iter__(self):
        return self

    def __next__(self):
        return self._assemble({k: _unit(v) for k, v in next(self._stream).items()})

    def state(self) -> dict[str, Any]:
        """The place of the next batch."""
        return {"mark": self._mark, **self._stream.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a place; raises UserError unless dataset, batch and seed are the same."""
        if not {"mark", "workers", "place"} <= set(state) or state["mark"] != self._mark:
            raise UserError(
                f"{self.dataset.folder}: dataset, batch size or seed are others than when the "
                "run was saved (or it was saved by another version); bring them back, or begin "
                "the data anew with --restart-data"
            )
        self._stream.restore(state)

    def close(self) -> None:
        """End the worker processes."""
        self._stream.close()

    def _pixels(self, config: Config) -> int:
        """Side of the pictures that are made of the dataset's."""
        check_size(self.dataset.folder, self.dataset.size, config, maker_of(self.dataset))
        return config.face.image_size

    @abstractmethod
    def _shapes(self, batch: int, pixels: int) -> Any:
        """The struct of a global batch."""

    @abstractmethod
    def _assemble(self, arrays: dict[str, Any]) -> Any:
        """A batch out of its fields by name, numpy arrays."""

    @property
    def _views(self) -> tuple[str, ...]:
        """The sides that the motion encoder sees augmented."""
        return self._how.views if isinstance(self._how, Augment) else ()


def _unit(value: np.ndarray) -> np.ndarray:
    """Pictures and masks to [0, 1]; a copy in any case, as workers share the memory."""
    scale = value.dtype == np.uint8
    return np.multiply(value, 1 / 255, dtype=np.float32) if scale else np.array(value)


class FaceLoader(_Loader):
    """Batches of `FaceBatch`: pairs of frames of one clip; partners, half a batch apart, are of
    different people wherever there are enough. Masks, points and ARKit coefficients come where all
    clips have them, pose and gaze (with their flags) where any has. See `_Loader` for the rest.
    """

    struct: FaceBatch

    def _shapes(self, batch: int, pixels: int) -> FaceBatch:
        def f32(*shape: int) -> Any:
            return jax.ShapeDtypeStruct((batch, *shape), jnp.float32)

        def both(name: str, spec: Any) -> dict[str, Any]:
            return dict.fromkeys((f"source_{name}", f"driver_{name}"), spec)

        picture = f32(pixels, pixels, 3)
        fields: dict[str, Any] = {f"{side}_view": picture for side in self._views}
        if "masks" in self._all:
            fields |= both("mask", f32(pixels, pixels, 1))
        for name, shape in (("points", (5, 2)), ("arkit", (52,))):
            if name in self._all:
                fields |= both(name, f32(*shape))
        if self.has_pose:
            fields |= both("pose", Pose(f32(3), f32(3), f32(1))) | {"pose_present": f32()}
        if "gaze" in self._some:
            fields |= both("gaze", f32(2)) | {"gaze_present": f32()}
        fields["identity"] = jax.ShapeDtypeStruct((batch,), jnp.int32)
        return from_named({"source": picture, "driver": picture, **fields})

    def _assemble(self, arrays: dict[str, Any]) -> FaceBatch:
        count = len(arrays["identity"])
        fields: dict[str, Any] = {}
        for name, spec in named(self.struct).items():
            if spec is None:
                continue
            if name.endswith("_pose"):
                side = name.removesuffix("_pose")
                fields[name] = Pose(
                    *(
                        arrays.get(f"{side}_{part}", np.zeros((count, width), np.float32))
                        for part, width in zip(POSE, (3, 3, 1), strict=True)
                    )
                )
            elif name == "pose_present":
                fields[name] = arrays["has_rotation"]
            elif name == "gaze_present":
                fields[name] = arrays["has_gaze"]
            else:
                shape = (count, *spec.shape[1:])
                fields[name] = arrays.get(name, np.zeros(shape, np.float32))
        return from_named(fields)


class _SwapRecords(_Loader):
    """What the loaders of `synthetic_heads/swaps` share."""

    KIND = "transfer"

    def _swap_shapes(self, batch: int, pixels: int) -> SwapBatch:
        labels = tuple(name for name in KNOWN if name in self._all)
        views = dict.fromkeys(self._views, pixels)
        labels += ("mask",) * ("masks" in self._all)
        self._swaps = swap_struct(batch, pixels, labels, views)
        return self._swaps

    def _swap_batch(self, arrays: dict[str, Any]) -> SwapBatch:
        # A record may have more than all records of the data set have.
        labels = [name for name in (*KNOWN, "mask") if getattr(self._swaps.source, name) is None]
        hidden = {f"{name}_{label}" for name in PICTURES for label in labels}
        return swap_batch({k: v for k, v in arrays.items() if k not in hidden})


class SwapLoader(_SwapRecords):
    """Batches of `SwapBatch` out of `synthetic_heads/swaps`. See `_Loader` for the rest."""

    struct: SwapBatch

    def _shapes(self, batch: int, pixels: int) -> SwapBatch:
        return self._swap_shapes(batch, pixels)

    def _assemble(self, arrays: dict[str, Any]) -> SwapBatch:
        return self._swap_batch(arrays)


class SwapPairLoader(_SwapRecords):
    """Rendered transfers as batches of `FaceBatch`: the true image of the source's person as the
    driver, the other person as its view; see `vasa_jax.extensions.transfer_targets`."""

    struct: FaceBatch

    def _shapes(self, batch: int, pixels: int) -> FaceBatch:
        return face_struct(self._swap_shapes(batch, pixels), batch)

    def _assemble(self, arrays: dict[str, Any]) -> FaceBatch:
        return from_swaps(self._swap_batch(arrays), arrays["own"])


class HeadLoader(_Loader):
    """Batches of `PoseBatch`: single frames of clips of any size, turned, moved and scaled in their
    plane with their pose labels (`pose_examples.py`). batch: default the config's train_pose.batch.
    See `_Loader` for the rest. Raises UserError where no clip has pose labels, too.
    """

    KIND = "pose"
    struct: PoseBatch

    def __init__(
        self,
        folder: Path,
        config: Config,
        batch: int | None = None,
        seed: int = 0,
        *,
        augment: PoseImageOptions | None = None,
        **rest: Any,
    ):
        self._struct = pose_struct(config, flags=True)
        size = config.train_pose.batch if batch is None else batch
        how = PoseImageOptions(config.face.motion_image_size) if augment is None else augment
        super().__init__(folder, config, size, seed, augment=how, **rest)

    def _pixels(self, config: Config) -> int:
        return self.dataset.size

    def _shapes(self, batch: int, pixels: int) -> PoseBatch:
        if not self.has_pose:
            raise UserError(
                f"{self.dataset.folder}: none of its clips has head pose labels, which "
                "the pose encoder learns from; `vasa-jax prepare` and `vasa-jax synth` "
                "make datasets that have"
            )
        resized = lambda s: jax.ShapeDtypeStruct((batch, *s.shape[1:]), s.dtype)  # noqa: E731
        return jax.tree.map(resized, self._struct)

    def _assemble(self, arrays: dict[str, Any]) -> PoseBatch:
        zeros = jax.tree.map(
            lambda s: np.zeros((len(arrays["image"]), *s.shape[1:]), np.float32), self.struct.pose
        )
        pose = Pose(**{name: arrays.get(name, zero) for name, zero in zeros._asdict().items()})
        return PoseBatch(arrays["image"], pose, arrays["has_rotation"])


def is_dataset(folder: Path) -> bool:
    """Whether a folder is, or holds, a TFDS dataset of clips."""
    return Path(folder).is_dir() and find_dataset(folder) is not None
