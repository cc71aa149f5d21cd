"""Progress of a run: a bar per stage and timings, JSON lines, or nothing."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

MODES = ("bar", "json", "quiet")


class Reporter:
    """Times named stages and reports them in one of `MODES`.

    bar: rich progress bars and notes on standard error, timings at the end.
    json: one JSON object a line on standard output (events: stage, note, error, row, done).
    quiet: nothing but errors.
    In every mode errors are lines on standard error.
    """

    def __init__(self, mode: str = "bar"):
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
        self.mode = mode
        self.seconds: dict[str, float] = {}
        self._console = None
        if mode == "bar":
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Time a stage and show its bar; yields a function that advances the bar by n units."""
        start = time.perf_counter()
        inner = dict(self.seconds)
        with self._bar(name, total) as advance:
            yield advance
        # Work timed on its own inside this stage (`timed`) is not counted twice.
        nested = sum(v - inner.get(k, 0.0) for k, v in self.seconds.items())
        self.add(name, time.perf_counter() - start - nested)
        if self.mode == "json":
            self.event("stage", name=name, seconds=round(self.seconds[name], 4))

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage without a bar."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def note(self, text: str) -> None:
        """One line for the user (a warning, a choice made for them)."""
        if self._console is not None:
            self._console.print(text, markup=False)
        self.event("note", text=text)

    def error(self, text: str) -> None:
        """One line: something that was asked for is not made, and the rest goes on."""
        if self._console is not None:
            self._console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)
        self.event("error", text=text)

    def event(self, kind: str, **values) -> None:
        """A JSON line, in json mode only."""
        if self.mode == "json":
            print(json.dumps({"event": kind, **values}), flush=True)

    def finish(self, what: str, **values) -> None:
        """The closing line and the table of stage timings."""
        if self._console is not None:
            parts = ", ".join(f"{k} {v:.1f}" for k, v in self.seconds.items())
            total = sum(self.seconds.values())
            self._console.print(f"{what}\nseconds: {parts}; total {total:.1f}", markup=False)
        timings = {k: round(v, 4) for k, v in self.seconds.items()}
        self.event("done", message=what, seconds=timings, **values)

    @contextmanager
    def _bar(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        if self._console is None or not self._console.is_terminal:
            yield _no_bar  # a log file wants no bars
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = [TextColumn(f"{{task.description:<{10}}}"), BarColumn(bar_width=30)]
        if total is not None and total > 1:
            columns.append(MofNCompleteColumn())
        columns.append(TimeElapsedColumn())
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task(name, total=total or 1)
            yield partial(bar.advance, task)
            bar.update(task, completed=total or 1)


def _no_bar(units: int) -> None:
    """Show nothing."""
