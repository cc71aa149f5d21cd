"""Options that several commands share, and the objects made from them."""

import argparse
from pathlib import Path

from vasa_jax.config import DEFAULT_NAME, NAMES


def add_portrait_option(parser: argparse.ArgumentParser) -> None:
    """-s, as `image`."""
    parser.add_argument(
        "-s",
        "--source-image",
        "--image",
        "--reference",
        required=True,
        type=Path,
        metavar="IMAGE",
        dest="image",
        help="the portrait",
    )


def add_video_option(parser: argparse.ArgumentParser, text: str) -> None:
    """-o, as `output`."""
    parser.add_argument(
        "-o",
        "--output",
        "--result",
        required=True,
        type=Path,
        metavar="VIDEO",
        dest="output",
        help=text,
    )


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """--coordinator, --processes, --process-id."""
    group = parser.add_argument_group(
        "many processes, started by hand (Slurm, MPI, JobSets and TPU pods are found by "
        "--set mesh.distributed=true)"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="address of process 0")
    group.add_argument("--processes", type=int, metavar="N", help="how many there are")
    group.add_argument("--process-id", type=int, metavar="I", help="which this is, from 0")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--config, --checkpoint, --set, --steps, --cfg-audio, --cfg-gaze, --precision."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--config",
        metavar="NAME",
        help=f"one of {', '.join(NAMES)} (default: {DEFAULT_NAME}, or the checkpoint's own)",
    )
    group.add_argument(
        "--checkpoint",
        metavar="DIR",
        type=Path,
        help="weights instead of the shipped ones: a folder, or hf://OWNER/NAME on the hub",
    )
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="override a config key, for example diffusion.eta=1.0; may be repeated",
    )
    group.add_argument("--steps", "--nfe", metavar="N", help="sampler steps per window")
    group.add_argument(
        "--cfg-audio",
        "--a-cfg-scale",
        metavar="X",
        help="guidance weight of the audio (paper: 0.5)",
    )
    group.add_argument("--cfg-gaze", metavar="X", help="guidance weight of the gaze (paper: 1.0)")
    group.add_argument("--precision", choices=("bf16", "f32"), help="compute type")


def overrides(arguments: argparse.Namespace) -> list[str]:
    """The `--set` list with the shorthand options folded in; shorthands win."""
    shorthand = {
        "diffusion.steps": arguments.steps,
        "diffusion.guidance_audio": arguments.cfg_audio,
        "diffusion.guidance_gaze": arguments.cfg_gaze,
        "precision": arguments.precision,
    }
    return arguments.overrides + [f"{k}={v}" for k, v in shorthand.items() if v is not None]


def add_control_options(parser: argparse.ArgumentParser) -> None:
    """--seed, --gaze, --distance, --emotion."""
    group = parser.add_argument_group("motion")
    group.add_argument(
        "--seed", type=int, default=0, help="same seed and speech, same motion (default: 0)"
    )
    group.add_argument(
        "--gaze",
        metavar="YAW,PITCH",
        default="0,0",
        help="main gaze in degrees; 0,0 looks into the camera (default), `none` leaves it free",
    )
    group.add_argument(
        "--distance",
        metavar="X",
        default="1.0",
        help="head distance, 1.0 is the portrait's (default), `none` leaves it free",
    )
    group.add_argument(
        "--emotion",
        "--emo",
        metavar="NAME=X",
        default="none",
        help="for example "
        "happiness=0.6,surprise=0.2 (default: left to the audio); what the model's "
        "training labels never held is noted",
    )


def controls(arguments: argparse.Namespace):
    """The `Controls` named on the command line; raises UserError when out of range."""
    from vasa_jax.inference.request import Controls, parse_distance, parse_emotion, parse_gaze

    return Controls(
        gaze=parse_gaze(arguments.gaze),
        distance=parse_distance(arguments.distance),
        emotion=parse_emotion(arguments.emotion),
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """--quiet, --log-json."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")
    group.add_argument("--log-json", action="store_true", help="print progress as JSON lines")


def report_mode(arguments: argparse.Namespace) -> str:
    return "quiet" if arguments.quiet else "json" if arguments.log_json else "bar"


def untrained_note(name: str) -> str:
    """The one plain warning line for a model that has no trained weights."""
    return (
        f"warning: config {name!r} has no trained weights yet: parameters come from a seed, "
        "so the picture is noise and no face (pass --checkpoint DIR for your own)"
    )
