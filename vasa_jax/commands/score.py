"""`vasa-jax score`: metrics of any system's talking-head videos, as a table with a report."""

import argparse
from pathlib import Path

from vasa_jax.commands import options

HELP = "measure talking-head videos of any system, against real ones where given; writes a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "generated",
        nargs="?",
        type=Path,
        metavar="GENERATED",
        help="folder of videos, searched with its subfolders, or one video",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for the report; an older report there is replaced",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="REAL",
        help="folder of the real videos, paired by name (NAME.mp4; of several samples "
        "NAME-0.mp4, NAME-1.mp4, ...), or one video",
    )
    parser.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a further system's videos, a row of the table; repeatable",
    )
    parser.add_argument(
        "--people",
        type=Path,
        metavar="FILE",
        help="who is seen: lines NAME,PERSON (default: VoxCeleb2's id in the name, else the first "
        "folder, else each file its own person)",
    )
    group = parser.add_argument_group("instruments")
    group.add_argument(
        "--syncnet",
        type=Path,
        metavar="FILE",
        help="SyncNet's public weights, syncnet_v2.model, for SC and SD (its sha256 is checked)",
    )
    group.add_argument(
        "--capp", type=Path, metavar="DIR", help="a CAPP network of `vasa-jax train capp`"
    )
    group.add_argument(
        "--labeller",
        action="append",
        default=[],
        metavar="KIND=MODULE:NAME",
        help="your own network for pose, gaze, emotion, ..., as in `prepare`; repeatable",
    )
    group.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME=MODULE:ATTRIBUTE",
        help="your own metric of a video, for example one of picture quality; repeatable",
    )
    group.add_argument(
        "--no-codec",
        action="store_true",
        help="leave out the one codec that goes before the sync metrics",
    )
    group = parser.add_argument_group("how much is measured")
    group.add_argument(
        "--stills",
        type=int,
        default=16,
        metavar="N",
        help="frames of a video that identity and pixel metrics look at, at least (default: 16)",
    )
    group.add_argument(
        "--fvd",
        action="store_true",
        help="add the Frechet video distance to the real videos (slow without a graphics card)",
    )
    group.add_argument(
        "--fvd-runs",
        type=int,
        default=8,
        metavar="N",
        help="runs of 25 frames of each video for it, at least (default: 8)",
    )
    group.add_argument(
        "--sheets", type=int, default=8, metavar="N", help="clips with a contact sheet (default: 8)"
    )
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder where figures of videos are kept, so that a rerun goes on (default: scores "
        "in the cache folder)",
    )
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.data_pipeline.prepare.labels import Labellers, parse_choices
    from vasa_jax.errors import UserError, require_modules
    from vasa_jax.evaluation.i3d import prepared_features
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.media.places import check_kept
    from vasa_jax.score.cache import Cache
    from vasa_jax.score.metrics import METRICS
    from vasa_jax.score.pairing import group_videos, read_people
    from vasa_jax.score.reading import ReadOptions
    from vasa_jax.score.report import check_output_folder, write_report
    from vasa_jax.score.run import Run, score_groups
    from vasa_jax.score.tools import Choices, describe, load_plugins, make_tools

    require_modules("matplotlib")
    for name in ("stills", "fvd_runs"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1")
    systems = _systems(arguments)
    if arguments.fvd and arguments.reference is None:
        raise UserError("--fvd is a distance to real videos: give their folder by --reference")
    people = None if arguments.people is None else read_people(arguments.people)
    groups = group_videos(systems, arguments.reference, people)
    given = {"videos": arguments.reference} | {f"system {k}": v for k, v in systems.items()}
    check_kept(arguments.output, given, "report", whole_folder=True)
    check_output_folder(arguments.output)
    choices = Choices(
        labellers=Labellers(parse_choices(arguments.labeller)),
        syncnet=arguments.syncnet,
        capp=arguments.capp,
        plugins=tuple(arguments.metric),
        codec=not arguments.no_codec,
        stills=arguments.stills,
        fvd_runs=arguments.fvd_runs if arguments.fvd else 0,
    )
    metrics = METRICS + load_plugins(choices.plugins)
    report = Reporter(options.report_mode(arguments))
    description = describe(choices)
    with report.stage("weights"):
        tools = make_tools(choices)
        features = prepared_features() if arguments.fvd else None
    work = Run(
        metrics,
        tools,
        choices.labellers,
        ReadOptions(arguments.stills, arguments.fvd_runs, features),
        Cache(description, arguments.cache),
        copies=arguments.syncnet is not None,
        codec=choices.codec,
    )
    results = score_groups(groups, work, report)
    if not any(result.entry for result in results):
        raise UserError(f"none of the {len(results)} videos can be read")
    _note_unpaired(arguments, groups, report)
    content = write_report(
        arguments.output, results, metrics, _header(choices, description), arguments.sheets
    )
    failed = sum(bool(result.error) for result in results)
    measured = len(results) - failed
    report.finish(
        f"{arguments.output}/report.md: {measured} videos of {len(content['systems'])} rows"
        + (f"; {failed} cannot be read" if failed else ""),
        output=str(arguments.output),
        videos=measured,
        failed=failed,
    )
    return 2 if failed else 0


def _systems(arguments: argparse.Namespace) -> dict[str, Path]:
    """Folders by name: GENERATED under its own name, and each --system."""
    from vasa_jax.errors import UserError

    found: dict[str, Path] = {}
    if arguments.generated is not None:
        place = arguments.generated
        found[place.resolve().stem if place.is_file() else place.resolve().name] = place
    for text in arguments.system:
        name, equals, place = text.partition("=")
        if not (name and equals and place):
            raise UserError(f"--system {text!r} is not of the form NAME=DIR")
        if name in found:
            raise UserError(f"there are two systems {name!r}; give one another name")
        found[name] = Path(place)
    if not found and arguments.reference is None:
        raise UserError("there is nothing to measure; give GENERATED, or --system NAME=DIR")
    return found


def _note_unpaired(arguments, groups, report) -> None:
    alone = [group for group in groups if group.real is None]
    if arguments.reference is not None and alone:
        names = ", ".join(group.videos[0].name for group in alone[:3])
        report.note(
            f"{len(alone)} videos have no real counterpart of their name, among them {names}"
        )


def _header(choices, description) -> dict:
    """How it was measured, for the report: JSON-ready, without paths."""
    import vasa_jax

    return {
        "version": vasa_jax.__version__,
        "frame rate": "25 fps, by the nearest time stamp",
        "codec before the sync metrics": description["codec"] or "none",
        "labellers": dict(choices.labellers.names),
        "SyncNet": description["syncnet"] or "not given",
        "CAPP": description["capp"] or "not given",
        "own metrics": list(choices.plugins),
        "stills": choices.stills,
        "FVD runs": choices.fvd_runs or "none",
    }
