"""From a config and a folder of clips to a trained CAPP, and from its run to weights."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.capp.trainer import STAGE, capp_trainer
from vasa_jax.capp.weights import CappWeights, pretrained_encoder
from vasa_jax.capp.windows import CappWindows
from vasa_jax.config.capp import CappConfig, capp_from_dict
from vasa_jax.media.files import write_whole
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.hosts import initialise_hosts
from vasa_jax.training.loop import Result, train
from vasa_jax.training.progress import Progress
from vasa_jax.training.restore import restore_newest, saved_config

ENCODER_NAME = "encoder.json"
"""In a workdir: which file the speech network came from."""


def train_capp(
    config: CappConfig,
    workdir: Path,
    data: Path | None,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    audio_weights: Path | None = None,
    restart_data: bool = False,
) -> Result:
    """Train CAPP in `workdir`, going on from what is there.

    data: see `find_pose_clips`; None: random batches, which show that everything runs and teach
    nothing. audio_weights: of the pretrained speech network; default: the zoo's, where its cache
    has them. restart_data: as in `loop.train`. Raises UserError for whatever does not fit
    together; see `loop.train`.
    """
    initialise_hosts(config)
    trainer, initial = capp_trainer(config), None
    batches: Any
    if data is None:
        batches = FakeBatches(trainer.batch, config.train_capp.seed)
    else:
        batches = CappWindows(data, config)
        found = pretrained_encoder(config, audio_weights)
        if found is not None:
            initial = partial(_begun, found[0])
            _keep_encoder(Path(workdir), found[1])
    return train(
        trainer,
        Path(workdir),
        batches,
        steps=steps,
        progress=progress,
        initial=initial,
        restart_data=restart_data,
    )


def export_capp(workdir: Path) -> CappWeights:
    """The averaged parameters of the newest checkpoint of a run.

    Raises UserError when there is none, or it is of another stage.
    """
    config = capp_from_dict(saved_config(workdir, STAGE))
    found = restore_newest(capp_trainer(config), workdir)
    params = jax.tree.map(np.asarray, found.state.ema)
    encoder = _kept_encoder(Path(workdir)) if config.train_capp.freeze_audio else None
    return CappWeights(config, params, found.step, encoder)


def _begun(encoder, fresh):
    return fresh | {"encoder": encoder}


def _keep_encoder(workdir: Path, digest: str) -> None:
    if jax.process_index() == 0 and not (workdir / "checkpoints").is_dir():
        content = json.dumps({"sha256": digest}) + "\n"
        write_whole(workdir / ENCODER_NAME, "name of the speech network", content)


def _kept_encoder(workdir: Path) -> str | None:
    try:
        return json.loads((workdir / ENCODER_NAME).read_text())["sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
