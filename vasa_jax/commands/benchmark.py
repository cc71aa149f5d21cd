"""`vasa-jax benchmark`: how fast each part runs on this device, as a table and as JSON."""

import argparse
import time
from pathlib import Path

from vasa_jax.config import DEFAULT_NAME, NAMES

HELP = "measure how fast every part runs on this device"
NAMES_OF_QUESTIONS = (
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
        help="weights to use; a timing does not depend on them",
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
        metavar="QUESTION",
        action="append",
        default=[],
        choices=(*NAMES_OF_QUESTIONS, "all"),
        help=f"one of {', '.join(NAMES_OF_QUESTIONS)}, all; repeatable (default: decode, sampler)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="JSON to write; rows "
        "that it holds for this device and these settings are kept, so a run that "
        "was cut off goes on",
    )
    group = parser.add_argument_group("how much")
    group.add_argument(
        "--repeats", metavar="N", type=int, default=20, help="of each row (default: 20)"
    )
    group.add_argument(
        "--row-seconds",
        metavar="S",
        type=float,
        default=120.0,
        help="after which a row makes do with fewer repeats, at least 3 (default: 120)",
    )
    group.add_argument(
        "--budget", metavar="S", type=float, help="begin no row after this many seconds"
    )
    group.add_argument("--again", action="store_true", help="measure rows anew that are there")
    group.add_argument(
        "--batches", metavar="N,N", type=_integers, help="instead of a question's own batch sizes"
    )
    group.add_argument(
        "--sizes",
        metavar="PX,PX",
        type=_integers,
        help="picture sizes of encode and decode (default: the config's, 256 and 512)",
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
        help="length of the "
        "clip of end-to-end and online, and of the longest of batch (default: "
        "10)",
    )
    group.add_argument(
        "--full", action="store_true", help="every combination of the sampler's settings"
    )
    group.add_argument("--data", metavar="DIR", type=Path, help="dataset that the loader reads")
    group.add_argument(
        "--profile",
        metavar="DIR",
        type=Path,
        help="also write a trace of one run of each row that is measured, for XProf or Perfetto",
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

    from vasa_jax.benchmark.ceilings import cases as ceiling_cases
    from vasa_jax.benchmark.ceilings import ceilings
    from vasa_jax.benchmark.environment import environment
    from vasa_jax.benchmark.lab import Lab, Options
    from vasa_jax.benchmark.questions import QUESTIONS
    from vasa_jax.benchmark.runner import Effort, run_cases
    from vasa_jax.benchmark.store import Store
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
    lab = Lab(config, arguments.overrides, arguments.checkpoint, options)
    end = None if arguments.budget is None else begun + arguments.budget
    effort = Effort(
        arguments.repeats, arguments.row_seconds, end, arguments.again, arguments.profile
    )
    chosen = arguments.what or ["decode", "sampler"]
    names = NAMES_OF_QUESTIONS if "all" in chosen else tuple(dict.fromkeys(chosen))
    where = f"{facts['device']}, jax {facts['jax']}"
    done = run_cases(ceiling_cases(config), store, effort._replace(again=False, profile=None))
    bounds = ceilings(store, config)
    for name in names:
        rows: list[dict] = []
        done = run_cases(QUESTIONS[name](lab), store, effort, rows.append, bounds) and done
        if rows:
            show(rows, f"{name}: {config.name} {config.precision} on {where}")
    if not done:
        print("the time is up before all rows were measured: the same command goes on")
    if arguments.output is not None:
        print(arguments.output)
    return 0


def _open_loader(folder: Path, config, batch: int):
    """The one place where the library meets the data pipeline."""
    from vasa_jax.data_pipeline.loading.loaders import FaceLoader

    return FaceLoader(folder, config, batch)
