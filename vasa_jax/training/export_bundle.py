"""Training runs to a bundle, the form of weights that `generate --checkpoint` takes."""

import json
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from vasa_jax.audio import build_audio_encoder, load_audio_weights
from vasa_jax.bundle import PARTS, Bundle, abstract_params, init_bundle, load_bundle
from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.params import check_against, flatten
from vasa_jax.training.run import STAGES, export


class Assembled(NamedTuple):
    """A bundle, where each of its parts comes from, and lines that the user should see."""

    bundle: Bundle
    origin: dict[str, str]
    notes: list[str]


def stage_of(workdir: Path) -> str:
    """The stage of a training run, by its newest checkpoint.

    Raises UserError for a folder without checkpoints.
    """
    folder = Path(workdir) / "checkpoints"
    steps = sorted((int(f.name) for f in folder.glob("*") if f.name.isdigit()), reverse=True)
    if not steps:
        raise UserError(f"{workdir}: holds no checkpoints; give the --workdir of a training run")
    header = folder / str(steps[0]) / "config" / "metadata"
    try:
        stage = json.loads(header.read_text())["stage"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{header}: unreadable ({error}); name the stage by --face or "
                        "--motion") from None  # fmt: skip
    if stage not in STAGES:
        raise UserError(f"{workdir}: is a checkpoint of stage {stage!r}, not of face or motion")
    return stage


def assemble(
    config: Config,
    face: Path | None = None,
    motion: Path | None = None,
    base: Path | None = None,
    audio_weights: Path | None = None,
    seed: int = 0,
) -> Assembled:
    """A bundle of the averaged parameters of training runs.

    face, motion: workdirs. Parts that they do not have come from `base`, a bundle of the same
    config, or from `seed`. audio_weights: of a pretrained audio encoder. The statistics come with
    the motion. The bundle counts as trained if none of its parts comes from a seed.
    Raises UserError if neither workdir is given, and for workdirs, bundles and files that do not
    fit the config.
    """
    if face is None and motion is None:
        raise UserError("nothing to export: give the --workdir of a training run")
    parts, origin, stats, seen = {}, {}, None, None
    for stage, workdir in (("face", face), ("motion", motion)):
        if workdir is None:
            continue
        found = export(config, stage, workdir)
        parts |= found.params
        origin |= {name: f"{workdir}, step {found.step}" for name in found.params}
        stats = found.stats if found.stats is not None else stats
        seen = found.seen if stage == "motion" else seen
    if audio_weights is not None:
        encoder = build_audio_encoder(config.audio, config.dtype)
        parts["audio"] = load_audio_weights(encoder, audio_weights)
        origin["audio"] = str(audio_weights)
    notes, trained = [], True
    missing = [name for name in PARTS if name not in parts]
    if missing or stats is None:
        other = init_bundle(config, seed) if base is None else load_bundle(base, config.name)
        trained = other.trained if base is not None else not missing
        source = f"seed {seed}" if base is None else str(base)
        parts |= {name: other.params[name] for name in missing}
        origin |= {name: source for name in missing}
        stats = other.stats if stats is None else stats
        seen = other.seen if motion is None else seen
        if base is None:
            notes.append(f"note: {' and '.join(missing)} from seed {seed}, so the bundle counts as "
                         "untrained (--base DIR takes them from another bundle)")  # fmt: skip
        elif "motion" in missing:
            notes.append(f"note: the motion model is the one of {base}: it speaks the language of "
                         "the face model that its data was extracted with")  # fmt: skip
    params = {name: jax.tree.map(np.asarray, parts[name]) for name in PARTS}
    check_against(flatten(params), flatten(abstract_params(config)), "the exported parameters")
    return Assembled(Bundle(config, params, stats, trained, seen), origin, notes)
