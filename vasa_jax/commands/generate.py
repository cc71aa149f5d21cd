"""`vasa-jax generate`: one portrait and one clip in, one video out."""

import argparse
from pathlib import Path

from vasa_jax.commands import options

HELP = "make a talking-head video from a portrait and speech"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_portrait_option(parser)
    parser.add_argument(
        "-a",
        "--driven-audio",
        "--audio",
        required=True,
        type=Path,
        metavar="AUDIO",
        dest="audio",
        help="speech: an audio or a video file",
    )
    options.add_video_option(parser, "the video to write, for example out.mp4")
    options.add_control_options(parser)
    parser.add_argument(
        "--pose-from",
        metavar="VIDEO",
        type=Path,
        help="take the head pose from this video instead of generating it",
    )
    add_picture_options(parser)
    options.add_model_options(parser)
    options.add_report_options(parser)


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """--crop, --face, --side-by-side, --paste-back."""
    group = parser.add_argument_group("picture")
    group.add_argument(
        "--crop",
        choices=("auto", "none"),
        default="auto",
        help="crop around the face, or take the image as it is",
    )
    group.add_argument(
        "--no-crop", action="store_const", const="none", dest="crop", help="the same as --crop none"
    )
    group.add_argument(
        "--face", type=int, metavar="N", help="which of several faces, 1 is the largest (default)"
    )
    group.add_argument(
        "--side-by-side", action="store_true", help="put the portrait beside the result"
    )
    group.add_argument(
        "--paste-back", action="store_true", help="blend the moving face into the original photo"
    )


def picture(arguments: argparse.Namespace):
    """The picture options as their dataclass; raises UserError when they contradict."""
    from vasa_jax.inference.request import Picture

    return Picture(
        crop=arguments.crop,
        face=arguments.face,
        side_by_side=arguments.side_by_side,
        paste_back=arguments.paste_back,
    )


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.bundle import resolve_config
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.inference.request import Request

    request = Request(
        image=arguments.image,
        audio=arguments.audio,
        output=arguments.output,
        seed=arguments.seed,
        controls=options.controls(arguments),
        picture=picture(arguments),
        pose_from=arguments.pose_from,
    )
    report = Reporter(options.report_mode(arguments))
    # Bad input is found out before the model is loaded; only the size is needed for that.
    config = resolve_config(arguments.config, arguments.checkpoint, options.overrides(arguments))

    from vasa_jax.inference.generate import generate, load_inputs

    inputs = load_inputs(request, config.face.image_size, report)
    pipeline = load_pipeline(arguments, report, controls=[request.controls])
    written = generate(request, inputs, pipeline, report)
    finish(report, request.output, written)
    return 0


def finish(report, output: Path, written: int) -> None:
    """The closing line of a command that wrote one video."""
    from vasa_jax.typing import FPS

    report.finish(
        f"{output}: {written} frames, {written / FPS:.2f} s at {FPS} fps",
        output=str(output),
        frames=written,
    )


def load_pipeline(arguments: argparse.Namespace, report, batch: int = 1, controls=(), devices=None):
    """The model named on the command line, its compile cache on, and the warning if untrained.

    controls: every `Controls` that will be asked for; what the model never learnt is noted.
    devices: default the first.
    """
    overrides = options.overrides(arguments)
    with report.stage("load"):
        from vasa_jax.bundle import resolve_bundle
        from vasa_jax.compile_cache import enable_compile_cache
        from vasa_jax.inference.pipeline import Pipeline
        from vasa_jax.motion.seen import unanswered

        enable_compile_cache()
        bundle = resolve_bundle(arguments.config, arguments.checkpoint, overrides)
        pipeline = Pipeline(bundle, batch, devices)
    if not bundle.trained:
        report.note(options.untrained_note(bundle.config.name))
    for line in unanswered(bundle.seen, [wanted.for_clip() for wanted in controls]):
        report.note(line)
    return pipeline
