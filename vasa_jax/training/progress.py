"""Progress of a training run on the terminal: losses, speed, utilisation."""

import sys
from typing import Any, Protocol, runtime_checkable

PEAK_BF16 = {
    "a6000": 154.8e12,
    "6000 ada": 364e12,
    "l40s": 362e12,
    "a100": 312e12,
    "h100": 989e12,
    "h200": 989e12,
    "b200": 2250e12,
    "rtx 4090": 165e12,
    "tpu v4": 275e12,
    "tpu v5 lite": 197e12,
    "tpu v5p": 459e12,
    "tpu v6 lite": 918e12,
}
"""Dense bf16 FLOP/s of one device by a part of its name, from the makers' data sheets."""


@runtime_checkable
class Progress(Protocol):
    """Receiver of a run's messages and metrics."""

    def note(self, text: str) -> None:
        """One line that the user should see."""

    def step(self, step: int, total: int, values: dict[str, float]) -> None:
        """Numbers of a step that is done: losses, `images/s`, `it/s`, and `mfu` if it is known."""

    def close(self) -> None:
        """The run is over."""


class Quiet:
    """Prints nothing."""

    def note(self, text: str) -> None:
        del text

    def step(self, step: int, total: int, values: dict[str, float]) -> None:
        del step, total, values

    def close(self) -> None:
        pass


class Bar:
    """A rich progress bar on standard error, with the speed and the loss beside it."""

    def __init__(self):
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = self._task = None

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def step(self, step: int, total: int, values: dict[str, float]) -> None:
        if self._bar is None:
            self._open(step, total)
        order = ("loss", "it/s", "images/s", "mfu")
        text = "  ".join(f"{k} {values[k]:.3g}" for k in order if k in values)
        self._bar.update(self._task, completed=step, values=text)
        if not sys.stderr.isatty():
            self._console.print(f"step {step}/{total}  {text}", markup=False)

    def _open(self, step, total):
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=self._console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._bar.start()
        self._task = self._bar.add_task("training", total=total, completed=step, values="")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def peak_flops(device_kind: str, precision: str) -> float | None:
    """bf16 FLOP/s of a device, or None where it is not known or the run does not compute in bf16.

    float32 runs get none: they may go through tensor float, which no data sheet names for a TPU.
    """
    if precision != "bf16":
        return None
    kind = device_kind.lower()
    return next((peak for name, peak in PEAK_BF16.items() if name in kind), None)


def program_flops(compiled: Any, accumulate: int = 1) -> float | None:
    """FLOPs of one step on one device, by XLA's own count of the compiled program, or None.

    XLA counts the body of a loop once, so the count is multiplied by the number of microbatches;
    the optimiser, which runs once, is thereby counted too often, but is a millionth of the whole.
    """
    try:
        costs = compiled.cost_analysis()
    except (AttributeError, NotImplementedError, RuntimeError):
        return None
    flops = (costs or {}).get("flops", 0.0)
    return flops * accumulate if flops > 0 else None
