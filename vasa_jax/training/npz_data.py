"""Training batches from a folder of .npz files."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.face.batch import FaceBatch
from vasa_jax.training.face_batches import REQUIRED, from_named, named
from vasa_jax.training.mesh import path_name
from vasa_jax.typing import Float


class NpzShards:
    """An endless, shuffled, checkpointable iterator over `folder`/*.npz.

    struct is a batch struct of ShapeDtypeStructs. Each file holds one array per field, named by its
    path, with n examples along the first axis; those of a face batch are named as in
    `face_batches.FIELDS` (`source`, `driver_pose/rotation`). Hosts read
    disjoint files. Files are shuffled anew in every epoch, examples within their file; an epoch's
    last examples may share a batch with the next epoch's first. uint8 arrays are read as x / 255
    where the field is a float.

    Raises UserError for a folder without files, fewer files than hosts, files that cannot be read,
    and fields that are missing or have another shape.
    """

    def __init__(self, folder: Path, struct: Any, seed: int = 0):
        self._folder, self._seed = Path(folder), seed
        self._struct, self._parts = struct, _parts_of(struct)
        self._specs = {
            path_name(path): spec
            for name, part in self._parts.items()
            for path, spec in jax.tree_util.tree_leaves_with_path({name: part})
        }
        files = sorted(self._folder.glob("*.npz"))
        hosts = jax.process_count()
        if not files:
            raise UserError(
                f"{folder}: holds no .npz files; write one array per field of "
                f"{type(struct).__name__}: {', '.join(self._specs)}"
            )
        if len(files) < hosts:
            raise UserError(f"{folder}: {len(files)} files for {hosts} hosts; split them further")
        self._files = files[jax.process_index() :: hosts]
        self._batch = next(iter(self._specs.values())).shape[0] // hosts
        self._epoch, self._file, self._offset = 0, 0, 0
        self._loaded: tuple[tuple[int, int], dict[str, np.ndarray]] | None = None

    def __iter__(self):
        return self

    def __next__(self) -> Any:
        parts, missing = [], self._batch
        while missing:
            arrays = self._current()
            count = len(next(iter(arrays.values())))
            part = {k: v[self._offset : self._offset + missing] for k, v in arrays.items()}
            taken = min(missing, count - self._offset)
            parts.append(part)
            missing -= taken
            self._offset += taken
            if self._offset == count:
                self._file, self._offset = self._file + 1, 0
            if self._file == len(self._files):
                self._epoch, self._file = self._epoch + 1, 0
        arrays = {name: np.concatenate([p[name] for p in parts]) for name in self._specs}
        whole = jax.tree_util.tree_map_with_path(
            lambda path, _: arrays[path_name(path)], self._parts
        )
        return _of_parts(self._struct, whole)

    def _current(self):
        place = (self._epoch, self._file)
        if self._loaded is None or self._loaded[0] != place:
            order = np.random.default_rng((self._seed, self._epoch)).permutation(len(self._files))
            arrays = self._read(self._files[order[self._file]])
            count = len(next(iter(arrays.values())))
            shuffle = np.random.default_rng((self._seed, *place, 1)).permutation(count)
            self._loaded = place, {k: v[shuffle] for k, v in arrays.items()}
        return self._loaded[1]

    def _read(self, file):
        try:
            with np.load(file, allow_pickle=False) as stored:
                lacking = [k for k in self._specs if k not in stored]
                if lacking:
                    raise UserError(f"{file}: lacks the array {lacking[0]!r}")
                arrays = {k: stored[k] for k in self._specs}
        except UserError:
            raise
        except Exception as error:  # zipfile, zlib and numpy each have their own
            raise UserError(f"{file}: is not a readable .npz file ({error})") from None
        counts = {len(v) if v.ndim else 0 for v in arrays.values()}
        if len(counts) != 1 or counts == {0}:
            raise UserError(f"{file}: its arrays must share a first axis of one or more examples")
        return {k: self._fit(file, k, v) for k, v in arrays.items()}

    def _fit(self, file, name, value):
        spec = self._specs[name]
        if value.shape[1:] != tuple(spec.shape[1:]):
            raise UserError(
                f"{file}: {name} holds examples of shape {list(value.shape[1:])}, this "
                f"config needs {list(spec.shape[1:])}"
            )
        if value.dtype == np.uint8 and np.dtype(spec.dtype).kind == "f":
            return value.astype(np.float32) / 255.0
        if value.dtype.kind != np.dtype(spec.dtype).kind:
            raise UserError(f"{file}: {name} is {value.dtype}, this config needs {spec.dtype}")
        return value.astype(spec.dtype)

    def state(self) -> dict[str, int]:
        """The place of the next example."""
        return {"epoch": self._epoch, "file": self._file, "offset": self._offset}

    def restore(self, state: dict[str, int]) -> None:
        """Go on at a place; the folder must hold the same files."""
        if state["file"] >= len(self._files):
            raise UserError(
                f"{self._folder}: holds fewer files than when the run was saved; put them back, or "
                "begin the data anew with --restart-data"
            )
        self._epoch, self._file = int(state["epoch"]), int(state["file"])
        self._offset = int(state["offset"])


def available(folder: Path, struct: Any) -> Any:
    """`struct` with None for the optional fields that the first file of the folder lacks.

    Give it a batch struct with every field; required ones are left for `NpzShards` to miss.
    Raises UserError for a folder without a readable file.
    """
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        raise UserError(f"{folder}: holds no .npz files")
    try:
        with np.load(files[0], allow_pickle=False) as stored:
            names = set(stored.files)
    except Exception as error:
        raise UserError(f"{files[0]}: is not a readable .npz file ({error})") from None
    required = REQUIRED if isinstance(struct, FaceBatch) else set(struct._fields)
    kept = {}
    for field, spec in _parts_of(struct).items():
        paths = jax.tree_util.tree_flatten_with_path({field: spec})[0]
        optional = field not in required or field in struct._field_defaults
        there = all(path_name(path) in names for path, _ in paths)
        kept[field] = spec if there or not optional else None
    return _of_parts(struct, kept)


def _parts_of(struct: Any) -> dict[str, Any]:
    """The parts of a batch by the names of their arrays."""
    return named(struct) if isinstance(struct, FaceBatch) else struct._asdict()


def _of_parts(struct: Any, parts: dict[str, Any]) -> Any:
    """The batch of the kind of `struct`."""
    return from_named(parts) if isinstance(struct, FaceBatch) else type(struct)(**parts)


def read_frames(folder: Path, limit: int = 1_000_000) -> Float[np.ndarray, "n m"]:
    """The valid motion vectors of a folder of motion batches, about `limit` at most.

    Raises UserError for files that cannot be read.
    """
    found, total = [], 0
    for file in sorted(Path(folder).glob("*.npz")):
        try:
            with np.load(file, allow_pickle=False) as stored:
                found.append(stored["motion"][stored["valid"].astype(bool)])
        except Exception as error:
            raise UserError(f"{file}: holds no readable motion and valid ({error})") from None
        total += len(found[-1])
        if total >= limit:
            break
    if not total:
        raise UserError(f"{folder}: holds no valid frame of motion")
    return np.concatenate(found).astype(np.float32)
