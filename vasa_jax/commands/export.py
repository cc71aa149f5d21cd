"""`vasa-jax export`: training runs to a bundle for `generate --checkpoint`, or a run of
`train capp` or `train sync` to a folder of its own, such as `score --capp` takes."""

import argparse
from pathlib import Path

from vasa_jax.config import DEFAULT_NAME, NAMES

HELP = "turn training runs into weights for `generate --checkpoint`, or `score --capp`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workdirs",
        nargs="*",
        type=Path,
        metavar="WORKDIR",
        help="of `train`; its checkpoint says which stage it is",
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="DIR", help="the bundle to write"
    )
    parser.add_argument(
        "--config",
        metavar="NAME",
        default=DEFAULT_NAME,
        help=f"one of {', '.join(NAMES)} (default: {DEFAULT_NAME})",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="the overrides of the training",
    )
    parser.add_argument("--face", metavar="WORKDIR", type=Path, help="of `train face`")
    parser.add_argument("--motion", metavar="WORKDIR", type=Path, help="of `train motion`")
    parser.add_argument(
        "--base", metavar="DIR", type=Path, help="bundle that gives what the runs do not have"
    )
    parser.add_argument(
        "--audio-weights", metavar="FILE", type=Path, help="of a pretrained audio encoder"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--bf16", action="store_true", help="store two bytes a number, not four")
    size.add_argument(
        "--int8",
        action="store_true",
        help="store kernels with one byte a number and a scale for each channel, the rest with two",
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.config import get_config
    from vasa_jax.errors import UserError

    for workdir in arguments.workdirs:
        if (stage := _stage(workdir)) in METRICS:
            return _export_metric(arguments, stage)
    config = get_config(arguments.config, arguments.overrides)
    output = arguments.output

    import jax.numpy as jnp

    from vasa_jax.bundle import check_bundle_place, save_bundle
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.media.places import check_kept
    from vasa_jax.training.export_bundle import assemble, stage_of

    check_bundle_place(output)
    inputs = {
        "base": arguments.base,
        "audio weights": arguments.audio_weights,
        "run of stage 1": arguments.face,
        "run of stage 2": arguments.motion,
    }
    inputs |= {f"run {folder}": folder for folder in arguments.workdirs}
    check_kept(output, inputs, "bundle", whole_folder=True)
    runs = {"face": arguments.face, "motion": arguments.motion}
    for workdir in arguments.workdirs:
        stage = stage_of(workdir)
        if runs[stage] is not None:
            raise UserError(f"{workdir}: is a second run of stage {stage!r}; give one of each")
        runs[stage] = workdir
    report = Reporter("quiet" if arguments.quiet else "bar")
    found = assemble(config, runs["face"], runs["motion"], arguments.base, arguments.audio_weights)
    for line in found.notes:
        report.note(line)
    dtype = "int8" if arguments.int8 else "bfloat16" if arguments.bf16 else "float32"
    save_bundle(output, found.bundle, jnp.dtype(dtype))
    for part, origin in found.origin.items():
        report.note(f"{part}: {origin}")
    state = "trained" if found.bundle.trained else "not trained in full"
    report.note(f"{output}: config {config.name!r}, {state}")
    return 0


METRICS = ("capp", "sync")
"""Stages whose weights are no part of a bundle."""


def _stage(workdir: Path) -> str:
    from vasa_jax.training.checkpoint import saved_in

    return saved_in(workdir)["stage"]


def _export_metric(arguments: argparse.Namespace, stage: str) -> int:
    """The config is the run's own."""
    import jax.numpy as jnp

    from vasa_jax.errors import UserError
    from vasa_jax.inference.progress import Reporter
    from vasa_jax.media.places import check_kept

    others = (arguments.face, arguments.motion, arguments.base, arguments.audio_weights)
    if len(arguments.workdirs) > 1 or any(others) or arguments.overrides:
        raise UserError(
            f"a run of `train {stage}` is exported by itself, without other runs, --base, "
            "--audio-weights and --set"
        )
    name = {"capp": "CAPP", "sync": "the sync network"}[stage]
    if arguments.int8:
        raise UserError(f"--int8 is for bundles; {name} is stored with --bf16 or as it is")
    workdir, output = arguments.workdirs[0], arguments.output
    dtype = jnp.dtype(jnp.bfloat16 if arguments.bf16 else jnp.float32)
    export = _export_capp if stage == "capp" else _export_sync
    check_kept(output, {f"run {workdir}": workdir}, f"weights of {name}", whole_folder=True)
    said = export(workdir, output, dtype)
    Reporter("quiet" if arguments.quiet else "bar").note(f"{output}: {said}")
    return 0


def _export_capp(workdir: Path, output: Path, dtype) -> str:
    from vasa_jax.capp.run import export_capp
    from vasa_jax.capp.weights import check_capp_place, save_capp

    check_capp_place(output)
    weights = export_capp(workdir)
    save_capp(output, weights, dtype)
    lacking = "" if weights.encoder is None else ", its frozen speech network left out"
    return f"CAPP {weights.config.name!r}, step {weights.step}{lacking}"


def _export_sync(workdir: Path, output: Path, dtype) -> str:
    from vasa_jax.sync.run import export_sync
    from vasa_jax.sync.weights import check_sync_place, save_sync

    check_sync_place(output)
    weights = export_sync(workdir)
    save_sync(output, weights, dtype)
    return f"sync network {weights.config.name!r}, step {weights.step}"
