"""From a config and the name of a stage to a training run, and from its checkpoint to weights."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from vasa_jax.audio.frozen import FrozenEncoder
from vasa_jax.config import Config, from_dict
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole
from vasa_jax.motion.seen import SeenLabels, from_json
from vasa_jax.motion.stats import MotionStats, fit_stats
from vasa_jax.perception.loss_networks import Perception
from vasa_jax.training.checkpoint import saved_in
from vasa_jax.training.face_batches import fake as full_face_batch
from vasa_jax.training.face_trainer import face_trainer
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.hosts import initialise_hosts
from vasa_jax.training.loop import Result, train
from vasa_jax.training.motion_batch import motion_batch_struct
from vasa_jax.training.motion_clips import MotionClips, is_clip_folder
from vasa_jax.training.motion_trainer import motion_trainer
from vasa_jax.training.npz_data import NpzShards, available, read_frames
from vasa_jax.training.pose_start import check_pose
from vasa_jax.training.pose_trainer import pose_struct, pose_trainer
from vasa_jax.training.progress import Progress
from vasa_jax.training.restore import restore_newest
from vasa_jax.training.trainer import Trainer

STAGES = ("pose", "face", "motion")
"""In the order of training; the first may be left out where the data of the second has labels."""
LABELS_NAME = "labels.json"
FEATURES_NAME = "audio_features.json"
"""In a workdir of stage 2: which frozen encoder's features it learned from."""


class Exported(NamedTuple):
    """Averaged parameters of a stage, as a bundle names them, and what they need beside them.

    params: {"face": …} of stage 1 (of stage "pose" its part "pose" alone), {"motion": …} and, if it
    was trained along, {"audio": …} of stage 2, numpy. stats: of stage 2's motion, else None. step:
    of the checkpoint. seen: the labels of stage 2's clips, None where they are not known.
    """

    params: dict
    stats: MotionStats | None
    step: int
    seen: SeenLabels | None = None


def run(
    config: Config,
    stage: str,
    workdir: Path | str,
    data: Iterator[Any] | Path | str | None,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    frozen: Mapping[str, Any] | None = None,
    perception: Perception | None = None,
    encoder: FrozenEncoder | None = None,
    initial: Any = None,
    pose: Any = None,
    restart_data: bool = False,
) -> Result:
    """Train stage "pose", "face" or "motion" of a config in `workdir`, going on from what is there.

    data: an iterator of this host's `PoseBatch`, `FaceBatch` or `MotionBatch` (its attribute
    `struct`, if it has one, says which optional fields it fills); a folder of .npz files (see
    `NpzShards`), in stage 2 also of clips from extract-motion (see `MotionClips`); or None for
    random batches, which show that everything runs and teach nothing.
    frozen: parameters of frozen networks by name: "vgg", "face" and "identity" for the losses of
    stage 1 (their kinds in `perception`); "stats" in stage 2 (MotionStats; read from a folder's
    data if absent), with "correlations" (see `MotionTrainer`; read from a folder's clips if
    absent).
    encoder: for clips that hold sound and not its features, where the config's encoder is frozen.
    initial: parameters to start a new run from, in the form of `TrainState.params`.
    pose: parameters of a trained head pose encoder to start stage 1 with; `train_face.freeze_pose`
    says whether they stay as they are.
    restart_data: as in `train`.

    Raises UserError for whatever of this does not fit together; see `train`.
    """
    if stage not in STAGES:
        raise UserError(f"unknown stage {stage!r}; it is one of {', '.join(STAGES)}")
    initialise_hosts(config)
    frozen, folder = dict(frozen or {}), None
    if isinstance(data, str | Path) and not Path(data).is_dir():
        raise UserError(f"{data}: no such data folder; check --data")
    check_start(config, stage, workdir, data, pose is not None)
    if pose is not None and initial is None:
        initial = partial(_with_pose, pose)
    if stage == "motion" and isinstance(data, str | Path) and is_clip_folder(Path(data)):
        data = MotionClips(Path(data), config, seed=config.train_motion.seed, encoder=encoder)
        keep_labels(Path(workdir), data.seen, progress)
        if data.features is not None:
            keep_features(Path(workdir), data.features)
        frozen.setdefault("stats", data.stats)
        if config.motion.extensions.residual_prior:
            frozen.setdefault("correlations", data.correlations())
    if isinstance(data, str | Path):
        folder = Path(data)
        if stage == "motion" and "stats" not in frozen:
            frozen["stats"] = fit_stats(read_frames(folder))
    trainer = make_trainer(config, stage, folder or data, frozen, perception)
    batches: Iterator[Any]
    if folder is not None:
        batches = NpzShards(folder, trainer.batch, trainer.train.seed)
    elif data is None:
        batches = FakeBatches(trainer.batch, trainer.train.seed)
    else:
        batches = cast(Iterator[Any], data)
    return train(
        trainer,
        Path(workdir),
        batches,
        steps=steps,
        progress=progress,
        initial=initial,
        restart_data=restart_data,
    )


def check_start(
    config: Config, stage: str, workdir: Path | str, data: Any, pose: bool = False
) -> None:
    """Raise UserError for stage 1 where nothing would make z_pose a pose; see `check_pose`.

    data: as `run` takes it; random batches may go without. pose: whether a trained encoder is
    given.
    """
    if stage != "face" or data is None:
        return
    struct = getattr(data, "struct", None)
    if isinstance(data, str | Path):
        struct = available(Path(data), full_face_batch(config, config.train_face.batch))
    labelled = struct is not None and struct.source.pose is not None
    started = pose or any((Path(workdir) / "checkpoints").glob("[0-9]*"))
    where = data if isinstance(data, str | Path) else "the data"
    dataset = getattr(data, "dataset", None)
    check_pose(config, labelled, started, str(where if dataset is None else dataset.folder))


def _with_pose(pose, fresh):
    return fresh | {"face": fresh["face"] | {"pose": pose}}


def make_trainer(
    config: Config,
    stage: str,
    data: Any = None,
    frozen: Mapping[str, Any] | None = None,
    perception: Perception | None = None,
) -> Trainer:
    """The stage as functions, for data as `run` takes it."""
    frozen = dict(frozen or {})
    struct = getattr(data, "struct", None)
    if stage == "pose":
        if isinstance(data, Path):
            struct = available(data, pose_struct(config, flags=True))
        return pose_trainer(config, struct)
    if stage == "face":
        if isinstance(data, Path):
            struct = available(data, full_face_batch(config, config.train_face.batch))
        return face_trainer(config, frozen, perception, struct)
    if isinstance(data, Path):
        struct = available(data, motion_batch_struct(config, config.train_motion.batch))
        if struct.audio is None and struct.waveform is None:
            lacking = "waveform" if config.audio.encoder == "mel" else "audio"
            raise UserError(
                f"{data}: its batches lack the array {lacking!r}, from which config "
                f"{config.name!r} learns; add it, or give a folder of whole clips by "
                "`vasa-jax extract-motion`"
            )
        if config.motion.extensions.neutral_start and struct.rests is None:
            raise UserError(
                f"{data}: its batches do not say which windows begin after a rest "
                "('rests'), as generated clips will; give a folder of whole clips by "
                "`vasa-jax extract-motion`, or --set motion.extensions.neutral_start=0"
            )
    return motion_trainer(config, frozen, batch=struct)


def keep_features(workdir: Path, identity: str) -> None:
    """Note in a run's folder which frozen encoder's features (`FrozenEncoder.identity`) it learns
    from. Raises UserError where it has learned from another's before."""
    path, known = workdir / FEATURES_NAME, learned_features(workdir)
    if known is not None and known != identity and (workdir / "checkpoints").is_dir():
        raise UserError(
            f"{workdir}: has learned from audio features of other weights, chunks or "
            "precision; give those, or start in a new --workdir"
        )
    if jax.process_index() == 0:
        write_whole(path, "name of the audio features", json.dumps({"identity": identity}) + "\n")


def learned_features(workdir: Path) -> str | None:
    """What `keep_features` noted, if a frozen encoder's features were learned from."""
    try:
        return json.loads((workdir / FEATURES_NAME).read_text())["identity"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def export(config: Config, stage: str, workdir: Path | str) -> Exported:
    """The averaged parameters of the newest checkpoint of a run, for a bundle.

    Losses, optimiser and what was frozen are the run's own; the model must be the config's. Raises
    UserError when there is no checkpoint, or it is of another stage or model.
    """
    saved = saved_in(Path(workdir))
    if saved["stage"] == stage:
        config = _as_trained(config, from_dict(saved["config"]))
    found = restore_newest(make_trainer(config, stage), Path(workdir))
    names = {"pose": ("face",), "face": ("face",), "motion": ("motion", "audio")}[stage]
    params = {
        n: jax.tree.map(np.asarray, found.state.ema[n]) for n in names if n in found.state.ema
    }
    constants = found.state.constants
    stats = (
        MotionStats(*map(np.asarray, (constants["mean"], constants["std"]))) if constants else None
    )
    return Exported(params, stats, found.step, _kept_labels(Path(workdir)))


def keep_labels(workdir: Path, seen: SeenLabels, progress: Progress | None) -> None:
    """Leave in `workdir` what the clips are labelled with, for `export`, and say what is missing.

    What a run with checkpoints has left stays: data of another kind may yet be refused.
    """
    if progress is not None and seen.lacking():
        progress.note(f"no clip holds {', '.join(seen.lacking())}: --emotion will not know it")
    path = workdir / LABELS_NAME
    if jax.process_index() == 0 and not (path.exists() and (workdir / "checkpoints").is_dir()):
        write_whole(path, "labels of the clips", json.dumps(seen.to_json(), indent=1) + "\n")


def _kept_labels(workdir: Path) -> SeenLabels | None:
    try:
        return from_json(json.loads((workdir / LABELS_NAME).read_text()))
    except (OSError, ValueError):
        return None


def _as_trained(config, then):
    """The config with the parts of a run's own that rule training and not the model."""
    trains = {key: getattr(then, key) for key in ("train_pose", "train_face", "train_motion")}
    losses = then.face_losses
    return replace(config, face_losses=losses, **trains)
