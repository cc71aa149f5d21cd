"""`vasa-jax evaluate`: figures of a model on held-out clips and exact swaps, as a report."""

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
        help="folder of a "
        "dataset from `prepare` or `synth`, or of its files clips/*.npz and "
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
    group.add_argument("--split", metavar="NAME", help="of the dataset (default: test, else val)")
    group.add_argument(
        "--clips",
        type=int,
        default=30,
        metavar="N",
        help="clips, of as many people as there are (default: 30)",
    )
    group.add_argument(
        "--groups", type=int, default=30, metavar="N", help="groups of exact swaps (default: 30)"
    )
    group.add_argument(
        "--frames",
        type=int,
        default=16,
        metavar="N",
        help="frames of a clip that are reenacted (default: 16)",
    )
    group.add_argument(
        "--seconds",
        type=float,
        default=8.0,
        metavar="X",
        help="of a clip that are generated from its sound (default: 8)",
    )
    group.add_argument(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="samples of each clip; 0 leaves audio-driven figures out (default: 3, as VASA-1)",
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
    group.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    group.add_argument(
        "--labeller",
        action="append",
        default=[],
        metavar="KIND=MODULE:NAME",
        help="your own network to read generated frames with, as in `prepare`; repeatable",
    )
    options.add_model_options(parser)
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    _check_numbers(arguments)
    from vasa_jax.bundle import resolve_config
    from vasa_jax.commands import evaluation_inputs as inputs
    from vasa_jax.commands.generate import load_pipeline
    from vasa_jax.data_pipeline.prepare.labels import Labellers, parse_choices
    from vasa_jax.errors import UserError
    from vasa_jax.evaluation.report import check_place, write_report
    from vasa_jax.evaluation.run import evaluate
    from vasa_jax.evaluation.structs import Settings
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.media.places import check_kept

    # Whatever can be wrong is found out before the model is loaded.
    labellers = Labellers(parse_choices(arguments.labeller))
    config = resolve_config(arguments.config, arguments.checkpoint, options.overrides(arguments))
    given = {"data": arguments.data, "checkpoint": arguments.checkpoint}
    check_kept(arguments.output, given, "report", whole_folder=True)
    check_place(arguments.output)
    found = inputs.find_records(arguments.data, inputs.CLIPS, arguments.split)
    swaps = inputs.find_records(arguments.data, inputs.SWAPS, arguments.split)
    if found is None and swaps is None:
        raise UserError(
            f"{arguments.data}: holds neither clips nor swaps; make some by `vasa-jax "
            "synth` or `vasa-jax prepare`"
        )
    groups = min(arguments.groups, len(swaps.names)) if swaps else 0
    if not groups and not (found and arguments.clips):
        raise UserError("with these numbers there is nothing to measure; raise --clips or --groups")
    report = Reporter(options.report_mode(arguments))
    chosen = inputs.choose(found.people, arguments.clips) if found else []
    with report.stage("data", len(chosen)) as advance:
        clips = []
        for number in chosen:
            clips.append(inputs.to_eval_clip(found.read(number)))
            advance(1)
    if swaps is None:
        report.note(
            f"{arguments.data}: holds no exact swaps, so transfers are measured without an "
            "exact target"
        )
    with report.stage("weights"):
        instruments = make_instruments(config.face.image_size, labellers, arguments.fvd)
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
        inputs.swaps_of(swaps, groups) if groups else [],
        groups,
        instruments,
        settings,
        report,
    )
    header = _header(pipeline, settings, labellers)
    header["data"] = arguments.data.resolve().name
    header["clips from"] = found.what if found else "none"
    header["swaps from"] = swaps.what if swaps else "none"
    table = write_report(arguments.output, result, header)
    met = sum(bool(aim.met) for aim in table)
    report.finish(
        f"{arguments.output}/report.md: {met} of {len(table)} aims met",
        output=str(arguments.output),
        met=met,
        aims=len(table),
    )
    return 0


def make_instruments(size: int, labellers, fvd: bool):
    """The networks that look at pictures of `size` pixels, out of the zoo."""
    from vasa_jax.commands import evaluation_inputs as inputs
    from vasa_jax.evaluation.structs import Instruments

    return Instruments(
        reader=inputs.MeshReader(labellers),
        lpips=inputs.lpips_distance(),
        embed=inputs.identity_vectors(size),
        video_features=inputs.video_features() if fvd else None,
    )


def _header(pipeline, settings, labellers) -> dict:
    """What the report says of its making: JSON-ready."""
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
