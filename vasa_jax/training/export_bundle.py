"""Training runs to a bundle, the form of weights that `generate --checkpoint` takes."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vasa_jax.audio import build_audio_encoder, load_audio_weights
from vasa_jax.audio.frozen import features_identity
from vasa_jax.bundle import PARTS, Bundle, abstract_params, init_bundle, load_bundle
from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.params import check_against, flatten
from vasa_jax.training.checkpoint import saved_in
from vasa_jax.training.run import export, learned_features


class Assembled(NamedTuple):
    """A bundle, the source of each of its parts, and notes for the user."""

    bundle: Bundle
    origin: dict[str, str]
    notes: list[str]


def stage_of(workdir: Path) -> str:
    """The stage of a training run, by its newest checkpoint.

    Raises UserError for a folder without checkpoints, and for stages that bundles have no part for.
    """
    stage = saved_in(workdir)["stage"]
    if stage == "pose":
        raise UserError(
            f"{workdir}: is a run of `train pose`, whose encoder goes into a bundle by "
            f"`train face --pose {workdir}`; export that run"
        )
    if stage not in ("face", "motion"):
        raise UserError(f"{workdir}: is a checkpoint of stage {stage!r}, not of face or motion")
    return stage


def pose_parameters(folder: Path, config: Config) -> dict[str, Any]:
    """The head pose encoder's averaged parameters, as FaceModel's "pose" names them, out of a run
    of `train pose` or `train face`, or out of a bundle.

    Raises UserError where there are none, or they are another encoder's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the --workdir of `train pose`")
    if (folder / "config.json").is_file():
        found = load_bundle(folder).params["face"]["pose"]
    else:
        stage = saved_in(folder)["stage"]
        if stage not in ("pose", "face"):
            raise UserError(
                f"{folder}: is a run of stage {stage!r}, which has no head pose "
                "encoder; give the --workdir of `train pose`"
            )
        found = export(config, stage, folder).params["face"]["pose"]
    shapes = abstract_params(config)["face"]["pose"]
    check_against(flatten(found), flatten(shapes), str(folder))
    return jax.tree.map(np.asarray, found)


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
    parts: dict[str, Any] = {}
    origin: dict[str, str] = {}
    stats, seen = None, None
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
        if motion is not None:
            _check_features(config, motion, audio_weights)
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
            notes.append(
                f"note: {' and '.join(missing)} from seed {seed}, so the bundle counts as "
                "untrained (--base DIR takes them from another bundle)"
            )
        elif "motion" in missing:
            notes.append(
                f"note: the motion model is the one of {base}: it speaks the language of "
                "the face model that its data was extracted with"
            )
    params = {name: jax.tree.map(np.asarray, parts[name]) for name in PARTS}
    check_against(flatten(params), flatten(abstract_params(config)), "the exported parameters")
    return Assembled(Bundle(config, params, stats, trained, seen), origin, notes)


def _check_features(config: Config, workdir: Path, weights: Path) -> None:
    """Raise UserError unless training used audio features of these weights."""
    known = learned_features(Path(workdir))
    if known is not None and known != features_identity(config, weights):
        raise UserError(
            f"{weights}: {workdir} was trained on audio features of other weights, "
            "chunks or precision; give those that it was trained on"
        )
