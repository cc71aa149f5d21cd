"""The command `vasa-jax`: the one place that wires the rooms together.

Every command imports what it needs when it runs, so that `--help` and mistakes answer at once and
`generate` needs no data packages.
"""

import argparse
import os
import sys

import vasa_jax
from vasa_jax.device import device_problem
from vasa_jax.errors import UserError, explain_missing
from vasa_jax.signals import Ended, end_cleanly
from vasa_jax.streams import outliving_readers


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message} (see `{self.prog} --help`)")


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=34, width=100)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; each command's module adds its own arguments."""
    from vasa_jax.commands import COMMANDS

    parser = _Parser(
        prog="vasa-jax",
        description="VASA-1 in JAX: a portrait and speech in, a talking face out.",
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"vasa-jax {vasa_jax.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name, help=command.HELP, description=command.HELP, formatter_class=_formatter
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def _join_minus(argv: list[str]) -> list[str]:
    """`--gaze -10,5` as `--gaze=-10,5`, since argparse takes -10,5 for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] == "--gaze" and word[:1] == "-" and word[1:2] in "0123456789.":
            joined[-1] = f"--gaze={word}"
        else:
            joined.append(word)
    return joined


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 a user's mistake, 130 interrupted,
    128 + N ended by the signal N.

    A reader of our output that goes away (`vasa-jax … | head`) ends nothing: what was asked for is
    made whole.
    """
    # XLA logs a page for every cached program, because it takes tuning hints for features of the
    # processor; the cache folder is split by real ones. Its failures reach us as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with outliving_readers():
            return _run(sys.argv[1:] if argv is None else argv)
    except UserError as error:  # standard output itself
        return _fail(error)


def _run(argv: list[str]) -> int:
    try:
        parser = build_parser()
        arguments = parser.parse_args(_join_minus(argv))
        if not hasattr(arguments, "run"):
            parser.print_help()
            return 0
        with end_cleanly():
            return arguments.run(arguments) or 0
    except UserError as error:
        return _fail(error)
    except ModuleNotFoundError as error:
        if (explained := explain_missing(error)) is None:
            raise
        return _fail(explained)
    except KeyboardInterrupt:
        print("vasa-jax: interrupted", file=sys.stderr)
        return 130
    except Ended as ended:
        print(f"vasa-jax: ended by {ended}", file=sys.stderr)
        return ended.exit_code
    except (RuntimeError, AssertionError):
        # Whatever touches JAX first meets a missing device; only JAX knows whether that is it.
        if (problem := device_problem()) is None:
            raise
        return _fail(problem)


def _fail(problem: object) -> int:
    print(f"vasa-jax: error: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
