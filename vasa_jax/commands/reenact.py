"""`vasa-jax reenact`: the motion of a video on the face of a portrait."""

import argparse
from pathlib import Path

from vasa_jax.commands import options
from vasa_jax.commands.generate import add_picture_options, finish, load_pipeline, picture

HELP = "put the motion of a video on a portrait (no audio model involved)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_portrait_option(parser)
    parser.add_argument(
        "-d",
        "--driving",
        "--driving-video",
        required=True,
        type=Path,
        metavar="VIDEO",
        dest="driving",
        help="whose motion to use; its sound is kept",
    )
    options.add_video_option(parser, "the video to write")
    parser.add_argument(
        "--relative",
        action="store_true",
        help="take over how the head moves from "
        "the video's first frame on, and begin with the portrait's own turn, place "
        "and size (default: the video's own)",
    )
    add_picture_options(parser)
    options.add_model_options(parser)
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.bundle import resolve_config
    from vasa_jax.inference.progress import Reporter

    shown = picture(arguments)
    report = Reporter(options.report_mode(arguments))
    config = resolve_config(arguments.config, arguments.checkpoint, options.overrides(arguments))

    from vasa_jax.inference.generate import load_portrait
    from vasa_jax.inference.reenact import reenact, track_of
    from vasa_jax.inference.video_file import check_output
    from vasa_jax.media.places import check_kept

    with report.timed("load"):
        inputs = {"portrait": arguments.image, "driving video": arguments.driving}
        check_kept(arguments.output, inputs, "video")
        sound = track_of(arguments.driving, report)
        portrait = load_portrait(arguments.image, shown, config.face.image_size, report)
        check_output(arguments.output, sound)
    pipeline = load_pipeline(arguments, report)
    written = reenact(
        portrait,
        arguments.driving,
        sound,
        arguments.output,
        shown,
        pipeline,
        report,
        relative=arguments.relative,
    )
    finish(report, arguments.output, written)
    return 0
