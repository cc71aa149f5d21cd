"""`vasa-jax extract-motion`: videos or a dataset to motion, sound and labels for stage 2."""

import argparse
from pathlib import Path

from vasa_jax.commands import options
from vasa_jax.config import DEFAULT_NAME, NAMES

HELP = "turn videos or a prepared dataset into motion clips for stage 2, by a trained face model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "videos",
        type=Path,
        metavar="VIDEOS",
        help="folder of videos, searched "
        "with its subfolders; or a dataset of prepare or synth, whose splits and "
        "labels are kept",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for the clips, for `train motion --data`",
    )
    parser.add_argument(
        "--config",
        metavar="NAME",
        help=f"one of {', '.join(NAMES)} (default: {DEFAULT_NAME}, or the checkpoint's own)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        type=Path,
        help="bundle with the face model (made by `export --face`)",
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
        "--val-share",
        type=float,
        default=0.0,
        metavar="X",
        help="part of the speakers (first subfolders) kept for validation (default: 0)",
    )
    parser.add_argument(
        "--audio",
        type=Path,
        metavar="DIR",
        help="folder with the sound of the videos, under the same paths (default: the videos' own)",
    )
    parser.add_argument(
        "--audio-weights",
        type=Path,
        metavar="FILE",
        help="of a pretrained audio encoder, whose features are stored beside the sound",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="frames a device takes at once (default: the config's inference.decode_batch)",
    )
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.data_pipeline.loading.loaders import is_dataset
    from vasa_jax.errors import UserError, require_modules
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.media.folders import find_videos
    from vasa_jax.training.motion_dataset.extract import extract_folder

    if arguments.batch_size is not None and arguments.batch_size < 1:
        raise UserError(f"--batch-size {arguments.batch_size} must be at least 1")
    prepared = is_dataset(arguments.videos)
    if not prepared:
        find_videos(arguments.videos)  # an empty folder is found out before the model is loaded
    elif arguments.val_share or arguments.audio is not None:
        raise UserError(
            f"{arguments.videos}: is a dataset, with splits and sound of its own; "
            "leave out --val-share and --audio"
        )
    else:
        require_modules("tensorflow_datasets")
    report = Reporter(options.report_mode(arguments))
    with report.stage("load"):
        from vasa_jax.audio.frozen import load_frozen_encoder
        from vasa_jax.bundle import resolve_bundle
        from vasa_jax.compile_cache import enable_compile_cache
        from vasa_jax.inference.motion_encoder import MotionEncoder

        enable_compile_cache()
        bundle = resolve_bundle(arguments.config, arguments.checkpoint, arguments.overrides)
        config, trained = bundle.config, bundle.trained
        encoder = MotionEncoder(config, bundle.params["face"], arguments.batch_size)
        sound = None
        if arguments.audio_weights is not None:
            sound = load_frozen_encoder(config, arguments.audio_weights)
        del bundle
    if not trained:
        report.note(
            f"warning: config {config.name!r} is not trained in full: if its face model "
            "comes from a seed, these vectors mean nothing"
        )
    if prepared:
        summary = _extract_dataset(arguments, encoder, report, sound)
        return 0 if summary.made + summary.skipped else 2
    summary = extract_folder(
        arguments.videos,
        arguments.output,
        encoder,
        report,
        val_share=arguments.val_share,
        audio=arguments.audio,
        sound=sound,
    )
    return 0 if summary.made + summary.skipped else 2


def _extract_dataset(arguments: argparse.Namespace, encoder, report, sound):
    from vasa_jax.data_pipeline.datasets.read import open_dataset
    from vasa_jax.data_pipeline.extraction_clips import prepared_clips
    from vasa_jax.training.motion_dataset.extract import Clip, Content, extract_clips

    dataset = open_dataset(arguments.videos)

    def clip(prepared):
        return Clip(prepared.split, lambda: prepared.mark, lambda: Content(*prepared.open()))

    found = prepared_clips(dataset, encoder.config, encoder.batch)
    clips = {name: clip(prepared) for name, prepared in found.items()}
    return extract_clips(clips, arguments.output, encoder, report, sound=sound)
