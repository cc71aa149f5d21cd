"""All experiments in their order, and what they found."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.evaluation.frechet import DIVISORS, frechet_distance
from vasa_jax.evaluation.reenactment import measure_clips
from vasa_jax.evaluation.response import response
from vasa_jax.evaluation.speaking import Videos, measure_speech
from vasa_jax.evaluation.speech import audio_offset
from vasa_jax.evaluation.statistics import Samples, Summary
from vasa_jax.evaluation.structs import (
    EvalClip,
    Gallery,
    Instruments,
    Model,
    Settings,
    Swaps,
    Sweep,
)
from vasa_jax.evaluation.swapping import measure_swaps
from vasa_jax.evaluation.sweeps import conditions, measure_sweeps


@runtime_checkable
class Progress(Protocol):
    """What the user is shown; `vasa_jax.inference.progress.Reporter` is one."""

    def stage(
        self, name: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]: ...


class SweepResult(NamedTuple):
    """A curve; its correlation with the command, None where it never changes or was not read; the
    share of its steps in the right direction, None where it was not read."""

    curve: Sweep
    correlation: float | None
    monotonic: float | None


class Fvd(NamedTuple):
    """Frechet video distance by the divisor of the covariances, and the videos on each side."""

    by_divisor: dict[str, float]
    ours: int
    truth: int


class Evaluation(NamedTuple):
    """What was found. summaries: by the keys of `figures.SECTIONS`. lags: mean correlation of the
    mouth with the truth by lag, None where unknown; offset: the lag of the highest. counts: clips,
    people and groups of swaps that were used. seconds: by experiment."""

    summaries: dict[str, Summary]
    lags: list[float | None]
    offset: float | None
    sweeps: dict[str, SweepResult]
    fvd: Fvd | None
    gallery: Gallery
    counts: dict[str, int]
    seconds: dict[str, float]


def evaluate(
    model: Model,
    clips: Sequence[EvalClip],
    swaps: Sequence[Swaps] | Iterable[Swaps],
    swap_count: int,
    instruments: Instruments,
    settings: Settings,
    progress: Progress,
) -> Evaluation:
    """Every experiment on held-out clips and groups of swaps (either may be empty, not both).

    swap_count: number of groups, for the bar. Raises UserError when there is nothing to measure on.
    """
    if not len(clips) and not swap_count:
        raise UserError("there are no clips and no groups of swaps to evaluate on")
    samples, gallery, seconds = Samples(), Gallery(), {}
    lags, videos, sweeps = np.full(1, np.nan), Videos(), []

    def stage(name: str, total: int, work: Callable) -> object:
        start = time.perf_counter()
        with progress.stage(name, total) as advance:
            found = work(advance)
        seconds[name] = round(time.perf_counter() - start, 2)
        return found

    common = (instruments, settings, samples)
    if len(clips):
        stage("reenact", len(clips), lambda go: measure_clips(model, clips, *common, gallery, go))
    if swap_count:
        stage("swaps", swap_count, lambda go: measure_swaps(model, swaps, *common, gallery, go))
    if len(clips) and settings.seeds:
        lags, videos = stage(
            "speech", len(clips), lambda go: measure_speech(model, clips, *common, gallery, go)
        )
    if len(clips) and settings.sweep_clips:
        total = len(conditions()) * min(len(clips), settings.sweep_clips)
        sweeps = stage("sweeps", total, lambda go: measure_sweeps(model, clips, *common, go))
    offset = audio_offset(lags)
    return Evaluation(
        summaries={key: samples.summary(key) for key in samples.names()},
        lags=[_known(x) for x in lags],
        offset=_known(offset),
        sweeps={sweep.name: _judged(sweep) for sweep in sweeps},
        fvd=_fvd(videos),
        gallery=gallery,
        counts={
            "clips": len(clips),
            "people": len({clip.identity for clip in clips}),
            "swap groups": swap_count,
        },
        seconds=seconds,
    )


def _judged(sweep: Sweep) -> SweepResult:
    found = response(np.array(sweep.commands), np.array(sweep.answers))
    return SweepResult(sweep, _known(found.correlation), _known(found.monotonic))


def _fvd(videos: Videos) -> Fvd | None:
    if not videos.ours or not videos.truth:
        return None
    ours, truth = np.concatenate(videos.ours), np.concatenate(videos.truth)
    if min(len(ours), len(truth)) < 2:
        return None
    values = {divisor: frechet_distance(ours, truth, divisor) for divisor in DIVISORS}
    return Fvd(values, len(ours), len(truth))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
