"""`vasa-jax train pose|face|motion|capp|sync`: all stages, and the metrics CAPP and `av_sync`, on
one device or many, resuming by itself."""

import argparse
from pathlib import Path

from vasa_jax.commands import options
from vasa_jax.config import DEFAULT_NAME, NAMES
from vasa_jax.config.capp import CAPP_DEFAULT, CAPP_NAMES
from vasa_jax.config.sync import SYNC_DEFAULT, SYNC_NAMES

HELP = (
    "train the head pose encoder (pose), stage 1 (face), stage 2 (motion), or the metrics CAPP "
    "(capp) and av_sync (sync); goes on from the newest checkpoint"
)
EPILOG = """\
from videos to weights (docs/training.md):
  vasa-jax prepare VIDEOS -o DATA --size 512
  vasa-jax train pose   --config vasa1 --data DATA --workdir POSE
  vasa-jax train face   --config vasa1 --data DATA --workdir FACE --pose POSE
  vasa-jax export FACE --config vasa1 -o FACE_WEIGHTS
  vasa-jax extract-motion DATA -o MOTION --checkpoint FACE_WEIGHTS
  vasa-jax train motion --config vasa1 --data MOTION --workdir RUN
  vasa-jax export FACE RUN --config vasa1 -o WEIGHTS
`train pose` may be left out where DATA has head pose labels, as that of prepare and synth: then
the labels' loss of `train face` makes z_pose a head pose.

a metric of head motion and sound (docs/evaluation.md):
  vasa-jax train capp --data DATA --workdir RUN
  vasa-jax export RUN -o CAPP
a metric of lips and sound:
  vasa-jax train sync --data DATA --workdir RUN
  vasa-jax export RUN -o SYNC"""


class _Formatter(argparse.HelpFormatter):
    """Leaves the lines of the epilog as they are."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=34, width=100)

    def _fill_text(self, text, width, indent):
        return text if "\n" in text else super()._fill_text(text, width, indent)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = EPILOG, _Formatter
    parser.add_argument("stage", choices=("pose", "face", "motion", "capp", "sync"))
    parser.add_argument(
        "--config",
        metavar="NAME",
        help=f"one of {', '.join(NAMES)} (default: {DEFAULT_NAME}); capp: one of "
        f"{', '.join(CAPP_NAMES)} (default: {CAPP_DEFAULT}); sync: one of "
        f"{', '.join(SYNC_NAMES)} (default: {SYNC_DEFAULT})",
    )
    parser.add_argument(
        "--workdir", metavar="DIR", type=Path, required=True, help="checkpoints and logs"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="pose, face: dataset of prepare "
        "or synth, or folder of .npz batches; motion: clips of extract-motion; capp: dataset of "
        "prepare or synth, clips of extract-motion, or folder of .npz with rotation and audio; "
        "sync: dataset of prepare or synth, or the folder `lips` of an earlier run's DIR; "
        "without it random data, which teach nothing",
    )
    parser.add_argument(
        "--swaps",
        action="store_true",
        help="face: learn from the swaps of a dataset of synth instead of its clips, or from a "
        "folder of its group files",
    )
    parser.add_argument(
        "--pose",
        metavar="DIR",
        type=Path,
        help="face: head pose encoder out of a "
        "run of `train pose`, or of a bundle; it stays as it is (with --set "
        "train_face.freeze_pose=false it goes on learning from labels)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="processes that read and decode a dataset (default: one a core, less one)",
    )
    parser.add_argument(
        "--steps", metavar="N", type=int, help="stop at this step (default: the config's)"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="override a config key; repeatable",
    )
    parser.add_argument(
        "--restart-data",
        action="store_true",
        help="go on from the checkpoint but begin the data anew: for data that has changed, or "
        "whose place another number of hosts saved",
    )
    frozen = parser.add_argument_group("frozen networks (safetensors from `weights convert`)")
    frozen.add_argument(
        "--vgg",
        metavar="FILE",
        type=Path,
        help="vgg19 (MegaPortraits) or vgg16 for "
        "the perceptual loss (default: VGG16 of the zoo's vgg16-lpips)",
    )
    frozen.add_argument(
        "--vggface",
        metavar="FILE",
        type=Path,
        help="vggface for the loss of face "
        "features, as in MegaPortraits (default: the identity network's "
        "features)",
    )
    frozen.add_argument(
        "--identity",
        metavar="FILE",
        type=Path,
        help="arcface-r50 or arcface-r100 for the identity loss (default: the zoo's dlib network)",
    )
    frozen.add_argument(
        "--audio-weights",
        metavar="FILE",
        type=Path,
        help="of a pretrained audio "
        "encoder, for clips without its features, and for capp (default: the zoo's, if "
        "cached)",
    )
    options.add_cluster_options(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.config import get_config
    from vasa_jax.errors import UserError

    if arguments.stage == "capp":
        return _run_capp(arguments)
    if arguments.stage == "sync":
        return _run_sync(arguments)
    if arguments.pose is not None and arguments.stage != "face":
        raise UserError("--pose is for `train face`")
    frozen = [] if arguments.pose is None else ["train_face.freeze_pose=true"]
    config = get_config(arguments.config or DEFAULT_NAME, [*frozen, *arguments.overrides])
    _check_numbers(arguments)

    from vasa_jax.training import run as training
    from vasa_jax.training.export_bundle import pose_parameters

    progress = _join(arguments, config)
    data = _data(config, arguments)
    try:
        given = arguments.pose
        pose = None if given is None else pose_parameters(given, config)
        training.check_start(config, arguments.stage, arguments.workdir, data, pose is not None)
        perception, frozen = _networks(config, arguments)
        encoder = _encoder(config, arguments)
        if arguments.data is None:
            progress.note(_NO_DATA)
        if arguments.stage == "face":
            for line in _warnings(config, data, arguments.workdir):
                progress.note(line)
        result = training.run(
            config,
            arguments.stage,
            arguments.workdir,
            data,
            steps=arguments.steps,
            progress=progress,
            frozen=frozen,
            perception=perception,
            pose=pose,
            encoder=encoder,
            restart_data=arguments.restart_data,
        )
    finally:
        if hasattr(data, "close"):
            data.close()
    return _ended(arguments, progress, result)


def _run_capp(arguments: argparse.Namespace) -> int:
    from vasa_jax.config.capp import get_capp_config

    _refuse(arguments, "pose", "swaps", "workers", "vgg", "vggface", "identity")
    config = get_capp_config(arguments.config or CAPP_DEFAULT, arguments.overrides)
    _check_numbers(arguments)

    from vasa_jax.capp.run import train_capp

    progress = _join(arguments, config)
    if arguments.data is None:
        progress.note(_NO_DATA)
    result = train_capp(
        config,
        arguments.workdir,
        arguments.data,
        steps=arguments.steps,
        progress=progress,
        audio_weights=arguments.audio_weights,
        restart_data=arguments.restart_data,
    )
    return _ended(arguments, progress, result)


def _run_sync(arguments: argparse.Namespace) -> int:
    import os

    from vasa_jax.config.sync import get_sync_config

    _refuse(arguments, "pose", "swaps", "vgg", "vggface", "identity", "audio_weights")
    config = get_sync_config(arguments.config or SYNC_DEFAULT, arguments.overrides)
    _check_numbers(arguments)

    from vasa_jax.sync.run import train_sync

    progress = _join(arguments, config)
    if arguments.data is None:
        progress.note(_NO_DATA)
    cores = (os.cpu_count() or 1) - 1
    result = train_sync(
        config,
        arguments.workdir,
        arguments.data,
        steps=arguments.steps,
        progress=progress,
        workers=cores if arguments.workers is None else arguments.workers,
        restart_data=arguments.restart_data,
    )
    return _ended(arguments, progress, result)


_NO_DATA = "warning: no --data: random batches show that everything runs, no more"


def _refuse(arguments: argparse.Namespace, *others: str) -> None:
    """Raise UserError for options that the stage does not have."""
    from vasa_jax.errors import UserError

    for name in others:
        if getattr(arguments, name) not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} is not for `train {arguments.stage}`")


def _check_numbers(arguments: argparse.Namespace) -> None:
    from vasa_jax.errors import UserError

    if arguments.steps is not None and arguments.steps < 1:
        raise UserError(f"--steps {arguments.steps} must be at least 1")
    if arguments.workers is not None and arguments.workers < 0:
        raise UserError(f"--workers {arguments.workers} must not be negative")


def _join(arguments: argparse.Namespace, config):
    """Join the job of many processes, if there is one, before anything asks JAX for its devices;
    the progress display of this process."""
    import jax

    from vasa_jax.compile_cache import enable_compile_cache
    from vasa_jax.training.hosts import cluster_of, initialise_hosts
    from vasa_jax.training.progress import Bar, Quiet

    cluster = cluster_of(arguments.coordinator, arguments.processes, arguments.process_id)
    initialise_hosts(config, cluster)
    enable_compile_cache()
    # The lines of a hundred processes would say the same.
    return Quiet() if arguments.quiet or jax.process_index() else Bar()


def _ended(arguments: argparse.Namespace, progress, result) -> int:
    ending = "" if result.finished else " (interrupted; the same command goes on)"
    progress.note(f"{arguments.workdir}: step {result.step}{ending}")
    # A scheduler starts a job again that has failed.
    return 0 if result.finished else 128 + result.signal


def _networks(config, arguments: argparse.Namespace):
    """Frozen networks of a stage: their kinds (or None), their parameters."""
    if arguments.stage == "face":
        from vasa_jax.perception.loss_networks import loss_networks

        return loss_networks(config, arguments.vgg, arguments.identity, arguments.vggface)
    return None, {}


def _encoder(config, arguments: argparse.Namespace):
    """The frozen audio encoder of stage 2, where its weights are given or cached."""
    if arguments.stage != "motion":
        return None
    path = arguments.audio_weights or _cached_audio_weights(config)
    if path is None:
        return None
    from vasa_jax.audio.frozen import load_frozen_encoder

    return load_frozen_encoder(config, path)


def _data(config, arguments: argparse.Namespace):
    """A loader if --data is a dataset of records; else what was given."""
    from vasa_jax.data_pipeline.loading.loaders import (
        FaceLoader,
        HeadLoader,
        SwapPairLoader,
        is_dataset,
    )
    from vasa_jax.errors import UserError

    folder = arguments.data
    if arguments.swaps and (folder is None or arguments.stage != "face"):
        raise UserError(
            "--swaps is for `train face --data DIR`, a dataset of `vasa-jax synth --swaps N` or a "
            "folder of its groups"
        )
    if folder is None or not folder.is_dir():
        return folder
    seed = config.train_face.seed
    if arguments.swaps and not is_dataset(folder):
        from vasa_jax.data_pipeline.loading.swap_groups import SwapGroups

        return SwapGroups(folder, config, seed=seed)
    if arguments.swaps:
        return SwapPairLoader(folder, config, seed=seed, workers=arguments.workers)
    if not is_dataset(folder):
        if arguments.stage != "motion" and not any(folder.glob("*.npz")):
            raise UserError(
                f"{folder}: holds no dataset of clips and no .npz batches; make a "
                "dataset by `vasa-jax prepare` or `vasa-jax synth`"
            )
        return folder
    if arguments.stage == "motion":
        raise UserError(
            f"{folder}: is a dataset of pictures, stage 2 learns from motion; run "
            f"`vasa-jax extract-motion {folder} -o CLIPS`, then give --data CLIPS"
        )
    if arguments.stage == "pose":
        return HeadLoader(folder, config, seed=config.train_pose.seed, workers=arguments.workers)
    return FaceLoader(folder, config, seed=seed, workers=arguments.workers)


def _warnings(config, data, workdir: Path) -> list[str]:
    """Lines about what stage 1 will not learn from this data, or not from this start."""
    struct, lines = getattr(data, "struct", None), [_about_masks(config, data)]
    if config.face_losses.transfer.weight and struct is not None and struct.targets is None:
        lines.append(
            "warning: the data has no rendered transfers, so face_losses.transfer does nothing; "
            "give swaps (--swaps), or choose a config without it, such as base256"
        )
    if config.train_face.freeze_dyn and not any((workdir / "checkpoints").glob("[0-9]*")):
        lines.append(
            "warning: train_face.freeze_dyn=true keeps the dynamics encoder as it is initialised; "
            "scripts/train_demo.sh trains it first, --set train_face.freeze_dyn=false here"
        )
    return [line for line in lines if line]


def _about_masks(config, data) -> str:
    """A warning where the losses shall see the foreground alone and no mask says where it is."""
    index = getattr(data, "labelled", None)
    if index is None or not config.face_losses.masked or index.get("masks", 0) == data.count:
        return ""
    return (
        f"warning: {data.count - index.get('masks', 0)} of {data.count} records have no masks, so "
        "image losses and discriminator see the background, too; make the dataset anew, or say "
        "that you want it so by --set face_losses.masked=false"
    )


def _cached_audio_weights(config) -> Path | None:
    """The weights of the config's pretrained audio encoder, if the zoo's cache has them."""
    from vasa_jax import zoo

    if config.audio.encoder == "mel":
        return None
    name = f"{config.audio.encoder}-{config.audio.variant}"
    known = [w.name for w in zoo.weights()] + [w.name for w in zoo.manual_weights()]
    return zoo.cached_path(name) if name in known and zoo.is_cached(name) else None
