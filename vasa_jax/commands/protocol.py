"""`vasa-jax protocol`: a test set of real videos drawn by a seed, ready for `batch` and `score`."""

import argparse
from pathlib import Path

from vasa_jax.commands import options

HELP = "draw a test set of real videos by a seed: clips, portraits, a manifest for `batch`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "videos", type=Path, metavar="VIDEOS", help="folder of real videos, with its subfolders"
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="DIR", help="a new folder"
    )
    number = (
        ("people", 46, "people that are drawn (default: 46, as VASA-1 of VoxCeleb2)"),
        ("clips", 10, "clips of each person, where there are as many (default: 10)"),
        ("samples", 3, "videos that `batch` makes of each clip, by other seeds (default: 3)"),
        ("seed", 0, "of the draw (default: 0)"),
    )
    for name, default, text in number:
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text)
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="X",
        help="cut clips to this length and leave out shorter ones (60 for a set like OneMin-32)",
    )
    parser.add_argument(
        "--people-file",
        type=Path,
        metavar="FILE",
        help="who is seen, lines NAME,PERSON (default: as of `score`)",
    )
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.errors import UserError
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.score.pairing import read_people
    from vasa_jax.score.protocol import Draw, write_protocol

    for name, least in (("people", 1), ("clips", 1), ("samples", 1), ("seed", 0)):
        if getattr(arguments, name) < least:
            raise UserError(f"--{name} {getattr(arguments, name)} must be at least {least}")
    if arguments.seconds is not None and not arguments.seconds > 0:
        raise UserError(f"--seconds {arguments.seconds:g} must be more than 0")
    how = Draw(*(getattr(arguments, name) for name in Draw._fields))
    people = None if arguments.people_file is None else read_people(arguments.people_file)
    report = Reporter(options.report_mode(arguments))
    with report.stage("clips", how.people * how.clips) as advance:
        count = write_protocol(arguments.videos, arguments.output, how, people, advance)
    place = arguments.output
    report.finish(
        f"{place}: {count} clips. Now `vasa-jax batch {place}/manifest.csv -o OUT`, then "
        f"`vasa-jax score OUT --reference {place}/real --people {place}/people.csv -o REPORT`",
        output=str(place),
        clips=count,
    )
    return 0
