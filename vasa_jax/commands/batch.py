"""`vasa-jax batch`: a table of portraits and clips in, a folder of videos out."""

import argparse
from pathlib import Path

from vasa_jax.commands import options
from vasa_jax.commands.generate import load_pipeline

HELP = "make many videos from a CSV manifest, on all devices, compiling once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "manifest",
        type=Path,
        metavar="MANIFEST.csv",
        help="columns image, audio; optional name, seed, gaze, distance, emotion, face, crop",
    )
    parser.add_argument(
        "-o",
        "--output",
        "--output-dir",
        "--result-dir",
        required=True,
        type=Path,
        metavar="DIR",
        dest="output",
        help="folder for the videos",
    )
    parser.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="devices of this host to use (default: all); results do not depend on it",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        metavar="N",
        help="clips that a "
        "device samples together (default: 1, which gives the very frames of "
        "`generate`; with more, accelerators are faster and motion differs by "
        "rounding)",
    )
    options.add_model_options(parser)
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.errors import UserError
    from vasa_jax.inference.manifest import read_manifest
    from vasa_jax.inference.progress import Reporter

    if arguments.batch_size < 1:
        raise UserError(f"--batch-size {arguments.batch_size} must be at least 1")
    if arguments.devices is not None and arguments.devices < 1:
        raise UserError(f"--devices {arguments.devices} must be at least 1")
    # A useless manifest is found out before the model is loaded.
    rows = read_manifest(arguments.manifest, arguments.output)
    report = Reporter(options.report_mode(arguments))
    controls = [row.request.controls for row in rows if row.request is not None]
    devices = _devices(arguments.devices)
    pipeline = load_pipeline(arguments, report, arguments.batch_size, controls, devices)

    from vasa_jax.inference.batch import run_batch

    summary = run_batch(arguments.manifest, arguments.output, pipeline, report)
    return 2 if summary.failed else 0


def _devices(count: int | None) -> list:
    """The first `count` devices of this host; raises UserError where there are fewer."""
    import jax

    from vasa_jax.errors import UserError

    devices = jax.local_devices()
    if count is not None and count > len(devices):
        raise UserError(
            f"--devices {count}: this host has {len(devices)}; leave the option out to use all"
        )
    return devices[:count]
