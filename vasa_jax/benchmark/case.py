"""A benchmark case: what it measures, and how it is prepared and run."""

from collections.abc import Callable
from typing import Any, NamedTuple

from vasa_jax.benchmark.work import Work


class Ready(NamedTuple):
    """A compiled case."""

    run: Callable[[], Any]  # does the work once, and returns when it is done
    units: float  # units of the case in one run
    compile_s: float  # seconds of tracing and compiling
    work: Work | None = None
    program: Any = None  # the compiled program, for its memory
    figures: Callable[[], dict[str, Any]] | None = None  # the case's own results, after all repeats
    restart: Callable[[], Any] | None = None  # forgets the warm-up, before the first repeat
    before: Callable[[], Any] | None = None  # untimed, before each run: the baseline of a pair


class Case(NamedTuple):
    """One row of the results; a benchmark has several, told apart by their settings."""

    benchmark: str
    settings: dict[str, Any]
    unit: str
    # Raises UserError where the case cannot be measured on this machine.
    prepare: Callable[[], Ready]
