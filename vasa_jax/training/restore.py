"""The newest checkpoint of a run on one device, to be exported."""

from pathlib import Path

from vasa_jax.errors import UserError
from vasa_jax.training.checkpoint import Checkpoints, Restored, saved_in
from vasa_jax.training.mesh import single_device
from vasa_jax.training.program import build_program
from vasa_jax.training.trainer import Trainer

__all__ = ["restore_newest", "saved_config"]


def saved_config(workdir: Path, stage: str) -> dict:
    """The config, as `to_dict` makes it, of the newest checkpoint of a run of a stage.

    Raises UserError when there is none, or it is of another stage.
    """
    saved = saved_in(workdir)
    if saved["stage"] != stage:
        raise UserError(f"{workdir}: is a checkpoint of stage {saved['stage']!r}, not of {stage!r}")
    return saved["config"]


def restore_newest(trainer: Trainer, workdir: Path) -> Restored:
    """The state of the newest checkpoint, without its place in the data, whatever mesh and however
    many hosts saved it. Raises UserError where none was saved whole, or it does not fit.
    """
    program = build_program(trainer, single_device())
    checkpoints = Checkpoints(Path(workdir) / "checkpoints")
    try:
        found = checkpoints.restore(
            program.abstract_state, trainer.config, trainer.name, iterator=False
        )
    finally:
        checkpoints.close()
    if found is None:
        raise UserError(f"{workdir}: no step has been saved yet; train longer")
    return found
