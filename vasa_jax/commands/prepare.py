"""`vasa-jax prepare`: a folder of videos to a TFDS dataset with labels and a data card."""

import argparse
from pathlib import Path

from vasa_jax.commands import options

HELP = "cut a folder of videos into labelled talking-head clips: a TFDS dataset and its data card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "videos",
        type=Path,
        metavar="VIDEOS",
        help="folder of videos, searched "
        "with its subfolders; VoxCeleb2's id/video/clip is recognised",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for clips, dataset, report and data card",
    )
    group = parser.add_argument_group("clips")
    number = (
        ("size", int, "side of the pictures: 128, 256 or 512 px"),
        ("min_seconds", float, "shortest clip"),
        ("max_seconds", float, "longest clip"),
        ("jpeg_quality", int, "of the stored pictures, 1 to 100"),
        ("margin_jitter", float, "random zoom of a clip's box, so that head distance varies"),
        ("detect_every", int, "frames between two searches for all faces"),
        ("shot_threshold", float, "mean change of a pixel that is a cut, 0 to 255"),
        ("seed", int, "of the random zoom"),
    )
    _add(group, number)
    group = parser.add_argument_group("what is discarded")
    _add(
        group,
        (
            ("min_face", float, "smallest face in the source, px (default: size / 4)"),
            (
                "other_face",
                float,
                "size of a second face that makes several people, over the first's",
            ),
            ("max_outside", float, "largest part of the box outside of the picture"),
            ("min_quality", float, "least picture quality, 100 - BRISQUE"),
            ("max_lag", int, "frames that sound and mouth may be apart, 0 to 15"),
            ("min_loudness", float, "least loudness in dB below full scale"),
        ),
    )
    group.add_argument(
        "--need-moving-mouth", action="store_true", help="discard clips whose mouth stays still"
    )
    group = parser.add_argument_group("people and labels")
    group.add_argument(
        "--identity-from",
        choices=("auto", "folder", "file"),
        default="auto",
        help="who is seen: the first folder names one person, or each file one "
        "(default: auto, the folder where there is one)",
    )
    group.add_argument(
        "--val-share",
        type=float,
        default=0.05,
        metavar="X",
        help="part of the people kept for validation (default: 0.05)",
    )
    group.add_argument(
        "--test-share",
        type=float,
        default=0.05,
        metavar="X",
        help="part of the people kept for the test (default: 0.05)",
    )
    group.add_argument(
        "--labeller",
        action="append",
        default=[],
        metavar="KIND=MODULE:NAME",
        help="your own network for pose, gaze, distance, emotion, arkit, points or "
        "mask; repeatable",
    )
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes (default: all cores; 0 works in this one)",
    )
    group.add_argument(
        "--beam",
        metavar="OPTIONS",
        help="run as an Apache Beam pipeline with "
        "these options, for example '--runner=FlinkRunner' (needs the extra "
        "`beam`; DIR must be a folder that all workers share)",
    )
    options.add_report_options(parser)
    parser.add_argument(
        "--verbose", "-v", action="store_true", help="say of every video what each step did"
    )


def _add(group, rows) -> None:
    from vasa_jax.data_pipeline.prepare.options import PrepareOptions

    defaults = PrepareOptions()
    for name, kind, text in rows:
        default = getattr(defaults, name)
        text += "" if default is None else f" (default: {default:g})"
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="X", help=text)


def run(arguments: argparse.Namespace) -> int:
    import os

    from vasa_jax.data_pipeline.prepare.labels import Labellers, parse_choices
    from vasa_jax.data_pipeline.prepare.options import PrepareOptions
    from vasa_jax.data_pipeline.prepare.report import step_totals
    from vasa_jax.data_pipeline.prepare.run import SUMMARY, prepare_folder, step_lines
    from vasa_jax.errors import UserError, require_modules
    from vasa_jax.inference.progress import Reporter

    beam = () if arguments.beam is None else ("apache_beam",)
    require_modules("tensorflow_datasets", "importlib_resources", "matplotlib", *beam)
    given = {k: v for k, v in vars(arguments).items() if k in PrepareOptions._fields}
    chosen = PrepareOptions(**{k: v for k, v in given.items() if v is not None})
    workers = os.cpu_count() or 1 if arguments.workers is None else arguments.workers
    if workers < 0:
        raise UserError(f"--workers {workers} must be 0 or more")
    labellers = Labellers(parse_choices(arguments.labeller))
    extra = {}
    if arguments.beam is not None:
        from vasa_jax.data_pipeline.prepare.beam import beam_jobs, beam_runner

        extra = {"run": beam_jobs(arguments.beam), "beam_runner": beam_runner(arguments.beam)}
    progress = Reporter(options.report_mode(arguments))
    result = prepare_folder(
        arguments.videos,
        arguments.output,
        chosen,
        progress,
        labellers=labellers,
        workers=workers,
        identity_from=arguments.identity_from,
        val_share=arguments.val_share,
        test_share=arguments.test_share,
        verbose=arguments.verbose,
        **extra,
    )
    for line in step_lines(step_totals(result.reports)):
        progress.note(line)
    if result.dataset is None:
        raise UserError(
            f"no clip was left of {len(result.reports)} videos; "
            f"{arguments.output / SUMMARY} says why"
        )
    progress.finish(
        f"{result.dataset}: {result.clips()} clips of {len(result.splits)} people "
        f"from {len(result.reports)} videos",
        clips=result.clips(),
    )
    return 0
