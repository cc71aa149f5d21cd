"""`vasa-jax evaluate`: metrics of a model on held-out clips and exact swaps, as a report."""

import argparse
from pathlib import Path

from vasa_jax.commands import options

HELP = "measure a model on held-out clips and exact swaps; writes a report with contact sheets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder of a dataset from `prepare` or `synth`, or of its files clips/*.npz and "
        "swaps/*.npz",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for the report; an older report there is replaced",
    )
    group = parser.add_argument_group("how much is measured")
    group.add_argument(
        "--split", metavar="NAME", help="split of the dataset (default: test, else val)"
    )
    group.add_argument(
        "--clips",
        type=int,
        default=30,
        metavar="N",
        help="clips, of as many people as possible (default: 30)",
    )
    group.add_argument(
        "--groups", type=int, default=30, metavar="N", help="groups of exact swaps (default: 30)"
    )
    group.add_argument(
        "--frames",
        type=int,
        default=16,
        metavar="N",
        help="reenacted frames of each clip (default: 16)",
    )
    group.add_argument(
        "--seconds",
        type=float,
        default=8.0,
        metavar="X",
        help="length of the video generated from each clip's audio (default: 8)",
    )
    group.add_argument(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="audio-driven samples of each clip; 0: none (default: 3, as VASA-1)",
    )
    group.add_argument(
        "--sweep-clips",
        type=int,
        default=2,
        metavar="N",
        help="clips for the sweeps of gaze, distance and emotion (default: 2; 0: none)",
    )
    group.add_argument(
        "--fvd",
        action="store_true",
        help="add the Frechet video distance (slow without a graphics card)",
    )
    group.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    group.add_argument(
        "--labeller",
        action="append",
        default=[],
        metavar="KIND=MODULE:NAME",
        help="your own network to measure generated frames with, as in `prepare`; repeatable",
    )
    options.add_model_options(parser)
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    _check_numbers(arguments)
    from vasa_jax.bundle import resolve_config
    from vasa_jax.commands.generate import load_pipeline
    from vasa_jax.data_pipeline.datasets.builders import CLIPS, SWAPS
    from vasa_jax.data_pipeline.prepare.labels import Labellers, parse_choices
    from vasa_jax.errors import UserError, require_modules
    from vasa_jax.evaluation import face_analysis, held_out
    from vasa_jax.evaluation.report import check_output_folder, write_report
    from vasa_jax.evaluation.run import evaluate
    from vasa_jax.evaluation.types import Settings
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.media.places import check_kept
    from vasa_jax.score.in_memory import frame_scores

    # All inputs are checked before the model is loaded.
    require_modules("matplotlib", "tensorflow_datasets")
    labellers = Labellers(parse_choices(arguments.labeller))
    config = resolve_config(arguments.config, arguments.checkpoint, options.overrides(arguments))
    given = {"data": arguments.data, "checkpoint": arguments.checkpoint}
    check_kept(arguments.output, given, "report", whole_folder=True)
    check_output_folder(arguments.output)
    records = held_out.find_records(arguments.data, CLIPS, arguments.split)
    swaps = held_out.find_records(arguments.data, SWAPS, arguments.split)
    if records is None and swaps is None:
        raise UserError(
            f"{arguments.data}: holds neither clips nor swaps; make some by `vasa-jax "
            "synth` or `vasa-jax prepare`"
        )
    groups = min(arguments.groups, len(swaps.names)) if swaps else 0
    if not groups and not (records and arguments.clips):
        raise UserError("with these numbers there is nothing to measure; raise --clips or --groups")
    report = Reporter(options.report_mode(arguments))
    clips = []
    chosen = held_out.choose(records.people, arguments.clips) if records else []
    with report.stage("data", len(chosen)) as advance:
        if records is not None:
            for number in chosen:
                clips.append(held_out.to_eval_clip(records.read(number)))
                advance(1)
    if swaps is None:
        report.note(
            f"{arguments.data}: holds no exact swaps, so transfers are measured without an "
            "exact target"
        )
    with report.stage("weights"):
        networks = face_analysis.load_metric_networks(
            config.face.image_size, labellers, arguments.fvd
        )
        if arguments.seeds:
            networks = networks._replace(scores=frame_scores(labellers))
    pipeline = load_pipeline(arguments, report, batch=max(1, arguments.seeds))
    if clips and (arguments.seeds or arguments.sweep_clips):
        pipeline.compile(report)
    settings = Settings(
        frames=arguments.frames,
        seconds=arguments.seconds,
        seeds=arguments.seeds,
        sweep_clips=arguments.sweep_clips,
        seed=arguments.seed,
    )
    result = evaluate(
        pipeline,
        clips,
        held_out.read_swaps(swaps, groups) if swaps is not None else [],
        groups,
        networks,
        settings,
        report,
    )
    header = _header(pipeline, settings, labellers)
    header["data"] = arguments.data.resolve().name
    header["clips from"] = records.what if records else "none"
    header["swaps from"] = swaps.what if swaps else "none"
    table = write_report(arguments.output, result, header)
    met = sum(bool(target.met) for target in table)
    report.finish(
        f"{arguments.output}/report.md: {met} of {len(table)} aims met",
        output=str(arguments.output),
        met=met,
        aims=len(table),
    )
    return 0


def _header(pipeline, settings, labellers) -> dict:
    """What was evaluated, for the report: JSON-ready."""
    import vasa_jax

    return {
        "version": vasa_jax.__version__,
        "config": pipeline.config.name,
        "weights": "trained" if pipeline.trained else "untrained",
        "model": pipeline.identity,
        "steps": pipeline.config.diffusion.steps,
        "precision": pipeline.config.precision,
        "settings": settings._asdict(),
        "labellers": dict(labellers.names),
    }


def _check_numbers(arguments: argparse.Namespace) -> None:
    import math

    from vasa_jax.errors import UserError

    for name, least in (
        ("clips", 0),
        ("groups", 0),
        ("frames", 1),
        ("seeds", 0),
        ("sweep_clips", 0),
        ("seed", 0),
    ):
        if getattr(arguments, name) < least:
            raise UserError(
                f"--{name.replace('_', '-')} {getattr(arguments, name)} must be at least {least}"
            )
    if not (math.isfinite(arguments.seconds) and arguments.seconds > 0):
        raise UserError(f"--seconds {arguments.seconds:g} must be more than 0")
