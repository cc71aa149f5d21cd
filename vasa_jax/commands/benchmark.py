"""`vasa-jax benchmark`: how fast each part runs on this device, as a table and as JSON."""

import argparse
import time
from pathlib import Path

from vasa_jax.config import DEFAULT_NAME, NAMES

HELP = "measure the speed of each part on this device"
BENCHMARK_NAMES = (
    "decode",
    "online",
    "sampler",
    "end-to-end",
    "batch",
    "encode",
    "audio",
    "train-motion",
    "train-face",
    "loader",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="NAME",
        default=DEFAULT_NAME,
        help=f"one of {', '.join(NAMES)} (default: {DEFAULT_NAME})",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        type=Path,
        help="weights to use; timings do not depend on them",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="override a config key, for example precision=bf16; repeatable",
    )
    parser.add_argument(
        "--what",
        metavar="BENCHMARK",
        action="append",
        default=[],
        choices=(*BENCHMARK_NAMES, "all"),
        help=f"one of {', '.join(BENCHMARK_NAMES)}, all; repeatable (default: decode, sampler)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="JSON to write; its rows of this device and these settings are kept, so that an "
        "interrupted run resumes",
    )
    group = parser.add_argument_group("how much")
    group.add_argument(
        "--repeats", metavar="N", type=int, default=20, help="runs of each row (default: 20)"
    )
    group.add_argument(
        "--row-seconds",
        metavar="S",
        type=float,
        default=120.0,
        help="time after which a row stops, with at least 3 repeats (default: 120)",
    )
    group.add_argument(
        "--budget", metavar="S", type=float, help="start no row after this many seconds"
    )
    group.add_argument("--again", action="store_true", help="measure existing rows again")
    group.add_argument(
        "--batches",
        metavar="N,N",
        type=_integers,
        help="instead of each benchmark's own batch sizes",
    )
    group.add_argument(
        "--sizes",
        metavar="PX,PX",
        type=_integers,
        help="image sizes of encode and decode (default: the config's, 256 and 512)",
    )
    group.add_argument(
        "--steps",
        metavar="N,N",
        type=_integers,
        help="sampler steps to try (default: the config's, 10, 25, 50)",
    )
    group.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        default=10.0,
        help="length of the clip of end-to-end and online, and of the longest of batch "
        "(default: 10)",
    )
    group.add_argument(
        "--full", action="store_true", help="every combination of the sampler's settings"
    )
    group.add_argument("--data", metavar="DIR", type=Path, help="dataset of the loader")
    group.add_argument(
        "--profile",
        metavar="DIR",
        type=Path,
        help="also write a trace of one run of each measured row, for XProf or Perfetto",
    )


def _integers(text: str) -> tuple[int, ...]:
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,8,32")
    return values


def run(arguments: argparse.Namespace) -> int:
    begun = time.perf_counter()
    from vasa_jax.bundle import resolve_config
    from vasa_jax.errors import UserError

    config = resolve_config(arguments.config, arguments.checkpoint, arguments.overrides)
    for name in ("repeats", "seconds", "row_seconds"):
        if getattr(arguments, name) <= 0:
            raise UserError(f"--{name.replace('_', '-')} must be more than 0")
    if arguments.data is not None and not arguments.data.is_dir():
        raise UserError(f"{arguments.data}: no such data folder; check --data")

    from vasa_jax.benchmark.environment import environment
    from vasa_jax.benchmark.registry import BENCHMARKS
    from vasa_jax.benchmark.roofline import roofline, roofline_cases
    from vasa_jax.benchmark.runner import Effort, run_cases
    from vasa_jax.benchmark.store import Store
    from vasa_jax.benchmark.subject import BenchmarkModel, Options
    from vasa_jax.benchmark.table import show

    facts = environment()
    store = Store(arguments.output, facts)
    options = Options(
        arguments.batches,
        arguments.sizes,
        arguments.steps,
        arguments.seconds,
        arguments.full,
        arguments.data,
        _open_loader,
    )
    model = BenchmarkModel(config, arguments.overrides, arguments.checkpoint, options)
    end = None if arguments.budget is None else begun + arguments.budget
    effort = Effort(
        arguments.repeats, arguments.row_seconds, end, arguments.again, arguments.profile
    )
    chosen = arguments.what or ["decode", "sampler"]
    names = BENCHMARK_NAMES if "all" in chosen else tuple(dict.fromkeys(chosen))
    where = f"{facts['device']}, jax {facts['jax']}"
    done = run_cases(roofline_cases(config), store, effort._replace(again=False, profile=None))
    limits = roofline(store, config)
    for name in names:
        rows: list[dict] = []
        done = run_cases(BENCHMARKS[name](model), store, effort, rows.append, limits) and done
        if rows:
            show(rows, f"{name}: {config.name} {config.precision} on {where}")
    if not done:
        print("out of time before all rows were measured: run the same command again to resume")
    if arguments.output is not None:
        print(arguments.output)
    return 0


def _open_loader(folder: Path, config, batch: int):
    """A loader of stage 1, passed in so that `benchmark` does not import the data pipeline."""
    from vasa_jax.data_pipeline.loading.loaders import FaceLoader

    return FaceLoader(folder, config, batch)
