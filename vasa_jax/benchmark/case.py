"""What a question hands to the runner."""

from collections.abc import Callable
from typing import Any, NamedTuple

from vasa_jax.benchmark.work import Work


class Ready(NamedTuple):
    """A case that is compiled and waits for its start.

    run: does the work once and returns when it is done. units: how many of the case's unit one run
    makes. compile_s: seconds of tracing and compiling alone. program: what was compiled, for its
    memory. figures: the case's own numbers, asked for after the last repeat; `restart` is called
    before the first repeat, to forget the warm-up. before: called ahead of every run, outside of
    its clock: the other half of an interleaved pair.
    """

    run: Callable[[], Any]
    units: float
    compile_s: float
    work: Work | None = None
    program: Any = None
    figures: Callable[[], dict[str, Any]] | None = None
    restart: Callable[[], Any] | None = None
    before: Callable[[], Any] | None = None


class Case(NamedTuple):
    """One row to be: a question, the settings that tell it from others, and how to begin.

    prepare may raise UserError where the case cannot be measured here.
    """

    question: str
    settings: dict[str, Any]
    unit: str
    prepare: Callable[[], Ready]
