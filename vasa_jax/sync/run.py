"""From a config and a dataset to a trained `av_sync`, and from its run to weights."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.config.sync import SyncConfig, sync_from_dict
from vasa_jax.errors import UserError, require_modules
from vasa_jax.sync.clips import LipClips
from vasa_jax.sync.trainer import STAGE, sync_trainer
from vasa_jax.sync.weights import SyncWeights
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.hosts import initialise_hosts
from vasa_jax.training.loop import Result, train
from vasa_jax.training.progress import Progress
from vasa_jax.training.restore import restore_newest, saved_config

__all__ = ["export_sync", "train_sync"]

LIPS = "lips"
"""The folder in a workdir where the lips of a dataset are kept."""


def train_sync(
    config: SyncConfig,
    workdir: Path,
    data: Path | None,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    workers: int = 0,
    restart_data: bool = False,
) -> Result:
    """Train `av_sync` in `workdir`, going on from what is there.

    data: a dataset of `vasa-jax prepare` or `synth`, whose lips are read by `workers` processes
    into `workdir`/lips first; or such a folder of lips; or None: random batches, which show that
    everything runs and teach nothing. restart_data: as in `loop.train`. Raises UserError for
    whatever does not fit together.
    """
    initialise_hosts(config)
    trainer = sync_trainer(config)
    batches: Any
    if data is None:
        batches = FakeBatches(trainer.batch, config.train_sync.seed)
    else:
        batches = LipClips(_lips(Path(data), Path(workdir), progress, workers), config)
    return train(
        trainer,
        Path(workdir),
        batches,
        steps=steps,
        progress=progress,
        restart_data=restart_data,
    )


def _lips(data: Path, workdir: Path, progress: Progress | None, workers: int) -> Path:
    from vasa_jax.data_pipeline.datasets.read import find_dataset

    if not data.is_dir():
        raise UserError(f"{data}: no such data folder; check --data")
    if find_dataset(data) is None:
        return data
    require_modules("tensorflow_datasets")
    if jax.process_count() > 1:
        raise UserError(
            f"{data}: is a dataset of pictures; read its lips on one host first, by a run of one "
            f"step, then give the folder {LIPS} of its --workdir as --data"
        )
    from vasa_jax.sync.extract import extract_lips

    return extract_lips(data, workdir / LIPS, progress, workers)


def export_sync(workdir: Path) -> SyncWeights:
    """The averaged parameters of the newest checkpoint of a run.

    Raises UserError when there is none, or it is of another stage.
    """
    config = sync_from_dict(saved_config(workdir, STAGE))
    found = restore_newest(sync_trainer(config), workdir)
    return SyncWeights(config, jax.tree.map(np.asarray, found.state.ema["sync"]), found.step)
