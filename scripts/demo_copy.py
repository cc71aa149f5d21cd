"""The small copy of a training state from which a machine that has nothing else goes on."""

import json
import shutil
from pathlib import Path

BEFORE = "before.safetensors"
"""In the small copy: what earlier stages trained and the state of this one does not hold."""


def stage_of(copy: Path | None) -> str | None:
    """The stage whose state a copy holds; None where there is no copy."""
    if copy is None or not (copy / "state.json").exists():
        return None
    return json.loads((copy / "state.json").read_text())["extra"]["stage"]


def lay(copy: Path, program, task, folder: Path) -> None:
    """Make the copy the newest checkpoint of a run in `folder`."""
    import jax

    from vasa_jax.training.checkpoint import Checkpoints
    from vasa_jax.training.compact import unpack

    state, extra = unpack(copy, program.abstract_state)
    saved = Checkpoints(folder / "checkpoints", 1)
    place = jax.device_put(state, program.state)
    saved.save(int(state.step), place, extra["place"], task.config, task.name)
    saved.close()


def keep(copy: Path, stage: str, state, place: dict, before: dict | None) -> None:
    """Write the copy. before: parameters of earlier stages."""
    from vasa_jax.params import flatten, save_safetensors
    from vasa_jax.training.compact import pack

    size = pack(state, {"stage": stage, "place": place}, copy)
    print(f"{copy}: {size / 2**20:.1f} MiB", flush=True)
    known = flatten(state.params)
    rest = {k: v for k, v in flatten(before or {}).items() if k not in known}
    save_safetensors(copy / BEFORE, rest, {"stage": stage})


def begin(copy: Path, work: Path) -> None:
    """Let `work` begin where the copy stands, in every later call too."""
    work.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(copy / BEFORE, work / BEFORE)


def begun(work: Path) -> tuple[str | None, dict | None]:
    """The first stage of a folder begun from a copy, and parameters of the stages before it."""
    from vasa_jax.params import load_safetensors, read_metadata, unflatten

    file = work / BEFORE
    if not file.exists():
        return None, None
    return read_metadata(file)["stage"], unflatten(load_safetensors(file))
