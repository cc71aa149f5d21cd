"""Measures benchmark cases: prepare, warm up, repeat, store a row."""

import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.environment import forget_peak, memory, program_memory
from vasa_jax.benchmark.store import Store
from vasa_jax.errors import UserError
from vasa_jax.training.progress import peak_flops

OUT_OF_MEMORY = "out of memory"
MIN_REPEATS = 3


class Effort(NamedTuple):
    """How much to measure."""

    repeats: int = 20  # of each row
    row_seconds: float = 120.0  # after which a row stops, with at least `MIN_REPEATS`
    deadline: float | None = None  # on `time.perf_counter`: no row is begun after it
    again: bool = False  # also measure rows that the store has
    profile: Path | None = None  # folder for a profiler trace of one more run of each row


def spread(values: list[float]) -> dict[str, Any]:
    """Median, minimum, maximum and number of values."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "repeats": len(values),
    }


def run_cases(
    cases: Iterable[Case],
    store: Store,
    effort: Effort,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    roofline: dict[str, float] | None = None,
) -> bool:
    """Measure the rows that the store lacks; call `report` with every row, stored or new.

    Returns False if the deadline came first. roofline: "matmul" in FLOP/s, "copy" in bytes/s. A row
    that cannot be measured here holds "skipped" (tried again next time) or "failed".
    """
    for case in cases:
        row = None if effort.again else store.find(case.benchmark, case.settings)
        if row is None or "skipped" in row:
            if effort.deadline is not None and time.perf_counter() >= effort.deadline:
                return False
            row = measure(case, effort, roofline or {})
            store.add(row)
        report(row)
    return True


def measure(case: Case, effort: Effort, roofline: dict[str, float]) -> dict[str, Any]:
    """Measure one case."""
    row: dict[str, Any] = {
        "question": case.benchmark,
        "settings": case.settings,
        "unit": case.unit,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    forget_peak()
    try:
        begun = time.perf_counter()
        ready = case.prepare()
        row |= {"prepare_s": time.perf_counter() - begun, "compile_s": ready.compile_s}
        row |= _timed(ready, effort)
        row |= _rates(ready, row["seconds"], roofline)
        row |= {"memory": memory()}
        if ready.program is not None:
            row["memory"] |= program_memory(ready.program)
        if ready.figures is not None:
            row["figures"] = ready.figures()
        if effort.profile is not None:
            with jax.profiler.trace(str(effort.profile / case.benchmark)):
                ready.run()
    except UserError as error:
        row["skipped"] = str(error)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) and "out of memory" not in str(error).lower():
            raise
        row["failed"] = OUT_OF_MEMORY
    if hasattr(os, "getloadavg"):
        row["load_average"] = os.getloadavg()[0]
    return row


def _timed(ready: Ready, effort: Effort) -> dict[str, Any]:
    before = ready.before or (lambda: None)
    before()
    begun = time.perf_counter()
    ready.run()
    warmup = time.perf_counter() - begun
    if ready.restart is not None:
        ready.restart()
    seconds: list[float] = []
    start = time.perf_counter()
    while len(seconds) < effort.repeats:
        begun = time.perf_counter()
        if len(seconds) >= MIN_REPEATS and begun - start > effort.row_seconds:
            break
        before()
        begun = time.perf_counter()
        ready.run()
        seconds.append(time.perf_counter() - begun)
    return {"warmup_s": warmup, "seconds": spread(seconds)}


def _rates(ready: Ready, seconds: dict[str, Any], roofline: dict[str, float]) -> dict[str, Any]:
    median = seconds["median"]
    found: dict[str, Any] = {
        "units": ready.units,
        "per_second": {
            "median": ready.units / median,
            "min": ready.units / seconds["max"],
            "max": ready.units / seconds["min"],
        },
    }
    if ready.work is not None:
        found |= {"flops": ready.work.flops, "bytes": ready.work.bytes}
        found["tflops_per_second"] = ready.work.flops / median / 1e12
        found["gbytes_per_second"] = ready.work.bytes / median / 1e9
        if "matmul" in roofline:
            found["share_of_matmul"] = ready.work.flops / median / roofline["matmul"]
        if "copy" in roofline:
            found["share_of_copy"] = ready.work.bytes / median / roofline["copy"]
        precision = "bf16" if roofline.get("bf16") else "f32"
        peak = peak_flops(jax.devices()[0].device_kind, precision)
        if peak is not None:
            found["share_of_data_sheet"] = ready.work.flops / median / peak
    return found
