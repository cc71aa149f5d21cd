"""Asynchronous Orbax checkpoints of the training state and the data iterator's place."""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from vasa_jax.config import RunConfig
from vasa_jax.config.overrides import to_dict
from vasa_jax.config.renamed import upgraded
from vasa_jax.errors import UserError
from vasa_jax.training.mesh import path_name


class Restored(NamedTuple):
    """A checkpoint: the training state on its devices, and the state of this host's iterator; None
    where it was not asked for."""

    step: int
    state: Any
    iterator: Any = None


class HostJsonHandler(ocp.CheckpointHandler):
    """One JSON file per host: each host reads its own part of the data."""

    def save(self, directory, args):
        name = f"host-{jax.process_index()}-of-{jax.process_count()}.json"
        (Path(directory) / name).write_text(json.dumps(args.item))

    def restore(self, directory, args=None):
        file = Path(directory) / f"host-{jax.process_index()}-of-{jax.process_count()}.json"
        if not file.exists() and args is not None and args.any_hosts:
            file = min(Path(directory).glob("host-*-of-*.json"), default=file)
        if not file.exists():
            raise UserError(
                f"{directory}: was saved by another number of hosts than {jax.process_count()}, "
                "and each of them has a place of its own in this data; resume with as many hosts "
                "as before, or begin the data anew with --restart-data"
            )
        return json.loads(file.read_text())


@ocp.args.register_with_handler(HostJsonHandler, for_save=True)
@dataclass
class HostJsonSave(ocp.args.CheckpointArgs):
    """A value of this host to be saved as JSON."""

    item: Any


@ocp.args.register_with_handler(HostJsonHandler, for_restore=True)
@dataclass
class HostJsonRestore(ocp.args.CheckpointArgs):
    """A request for this host's value; with `any_hosts`, whose values are the same on all hosts,
    for any host's where another number of them saved."""

    any_hosts: bool = False


FIXED_KEYS = {
    "pose": tuple(
        f"face.{key}"
        for key in ("motion_width", "motion_depths", "motion_image_size", "norm_groups")
    ),
    "face": ("face", "train_face.freeze_pose", "train_face.freeze_dyn"),
    "motion": ("audio", "motion", "train_motion.augment_audio"),
    "capp": ("audio", "capp", "train_capp.freeze_audio"),
    "sync": ("sync",),
}
"""Sections and keys of the config that must not change between the start and the end of a stage."""
FREE_KEYS = ("motion.extensions.neutral_start",)
"""Keys of those sections that may."""


def saved_in(workdir: Path) -> dict:
    """ "stage" and "config" (as `to_dict` makes it) of the newest checkpoint of a run.

    Raises UserError for a folder without checkpoints.
    """
    folder = Path(workdir) / "checkpoints"
    steps = sorted((int(f.name) for f in folder.glob("*") if f.name.isdigit()), reverse=True)
    if not steps:
        raise UserError(f"{workdir}: holds no checkpoints; give the --workdir of a training run")
    header = folder / str(steps[0]) / "config" / "metadata"
    try:
        found = json.loads(header.read_text())
        return {"stage": found["stage"], "config": dict(found["config"])}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{header}: unreadable ({error}); remove {folder / str(steps[0])} to go on "
            "from the checkpoint before it"
        ) from None


class Checkpoints:
    """The checkpoints of one run, in `folder`; the newest `keep` are kept."""

    def __init__(self, folder: Path, keep: int = 3):
        self.folder = Path(folder).absolute()
        # Orbax logs every file through absl.
        logging.getLogger("absl").setLevel(logging.ERROR)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self.folder,
                options=ocp.CheckpointManagerOptions(max_to_keep=keep, create=True),
                item_handlers={
                    "state": ocp.StandardCheckpointHandler(),
                    "iterator": HostJsonHandler(),
                    "config": ocp.JsonCheckpointHandler(),
                },
            )
        except OSError as error:
            raise UserError(f"{folder}: cannot keep checkpoints here ({error})") from None

    def latest(self) -> int | None:
        """The newest step that was saved whole, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, iterator: Any, config: RunConfig, stage: str) -> None:
        """Copy the state off the devices, then write it while training goes on."""
        if self.latest() == step:
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                iterator=HostJsonSave(iterator),
                config=ocp.args.JsonSave({"stage": stage, "config": to_dict(config)}),
            ),
            force=True,
        )

    def restore(
        self,
        abstract: Any,
        config: RunConfig,
        stage: str,
        step: int | None = None,
        iterator: bool = True,
        any_hosts: bool = False,
    ) -> Restored | None:
        """The newest checkpoint (or that of `step`), or None when there is none yet.

        abstract: the state as ShapeDtypeStructs with shardings; these rule, so a run may go on
        with another mesh and other hosts. iterator: whether the place in the data is wanted, too;
        any_hosts: whether it is the same on all hosts. Raises UserError for a checkpoint of another
        stage or another model, for one that cannot be read, and for a place in the data that
        another number of hosts saved.
        """
        step = self.latest() if step is None else step
        if step is None:
            return None
        where = self.folder / str(step)
        with _readable(where):
            header = self._manager.restore(
                step, args=ocp.args.Composite(config=ocp.args.JsonRestore())
            ).config
            _check_header(header, config, stage, where)
            _check_shapes(self._manager.item_metadata(step).state, abstract, where)
            wanted: dict[str, Any] = {"state": ocp.args.StandardRestore(abstract)}
            if iterator:
                wanted["iterator"] = HostJsonRestore(any_hosts)
            found = self._manager.restore(step, args=ocp.args.Composite(**wanted))
        return Restored(step, found.state, found.iterator if iterator else None)

    def preempted(self, step: int) -> bool:
        """Whether the cluster asked all hosts of a distributed job to stop at this step."""
        return self._manager.reached_preemption(step)

    def close(self) -> None:
        """Wait until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


@contextlib.contextmanager
def _readable(where: Path):
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # Orbax, tensorstore and JSON each have their own
        raise UserError(
            f"{where}: cannot be read ({str(error)[:200]}); remove this folder to go "
            "on from the checkpoint before it"
        ) from error


def _check_header(header: dict, config: RunConfig, stage: str, where: Path) -> None:
    if header["stage"] != stage:
        raise UserError(
            f"{where}: is a checkpoint of stage {header['stage']!r}, not of {stage!r}; "
            "give each stage its own --workdir"
        )
    then, now = (dict(_dotted(c)) for c in (upgraded(header["config"]), to_dict(config)))
    for key, value in now.items():
        fixed = any(f"{key}.".startswith(f"{k}.") for k in FIXED_KEYS.get(stage, ()))
        old = then.get(key, value)
        if fixed and key not in FREE_KEYS and old != value:
            raise UserError(
                f"{where}: was trained with {key}={old}, this run asks "
                f"for {value}; use another --workdir or the old "
                "value"
            )


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of nested sections, keys as `--set` takes them."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _check_shapes(metadata: Any, abstract: Any, where: Path) -> None:
    metadata = getattr(metadata, "tree", metadata)
    stored = {n: tuple(x.shape) for n, x in _leaves(metadata) if hasattr(x, "shape")}
    wanted = {n: tuple(x.shape) for n, x in _leaves(abstract)}
    for name in sorted(set(stored) ^ set(wanted)):
        verb = "lacks" if name in wanted else "holds"
        raise UserError(
            f"{where}: {verb} {name!r}, unlike the state of this run, so it is a "
            "checkpoint of other settings; use another --workdir"
        )
    for name, shape in wanted.items():
        if stored[name] != shape:
            raise UserError(
                f"{where}: {name} has shape {stored[name]}, this run needs {shape}; "
                "it was made with another config"
            )


def _leaves(tree):
    return [(path_name(p), x) for p, x in jax.tree_util.tree_flatten_with_path(tree)[0]]
