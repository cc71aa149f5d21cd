"""Runs every experiment and collects the results."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.evaluation.audio_driven import VideoFeatures, measure_audio_driven
from vasa_jax.evaluation.controllability import measure_sweeps, response, swept_controls
from vasa_jax.evaluation.disentanglement import measure_swaps
from vasa_jax.evaluation.frechet import DIVISORS, frechet_distance
from vasa_jax.evaluation.lip_sync import audio_offset
from vasa_jax.evaluation.reenactment import measure_clips
from vasa_jax.evaluation.statistics import Samples, Summary
from vasa_jax.evaluation.types import (
    EvalClip,
    Gallery,
    MetricNetworks,
    Model,
    Settings,
    Swaps,
    Sweep,
)

Result = TypeVar("Result")


@runtime_checkable
class Progress(Protocol):
    """Progress display; `vasa_jax.inference.progress.Reporter` implements it."""

    def stage(
        self, name: str, total: int | None = None
    ) -> AbstractContextManager[Callable[[int], None]]: ...


class SweepResult(NamedTuple):
    """A response curve; the numbers are None where the response was not measured."""

    curve: Sweep
    correlation: float | None  # with the command; None also where the response is constant
    monotonic: float | None  # share of the steps in the right direction


class Fvd(NamedTuple):
    """Frechet video distance."""

    by_divisor: dict[str, float]  # by `frechet.DIVISORS`
    ours: int  # number of generated videos
    truth: int  # number of true videos


class Evaluation(NamedTuple):
    """Results of all experiments."""

    summaries: dict[str, Summary]  # by the keys of `metric_specs.SECTIONS`
    lags: list[float | None]  # mean correlation of the mouth opening with the truth by lag
    offset: float | None  # lag of the highest correlation, frames
    sweeps: dict[str, SweepResult]
    fvd: Fvd | None
    gallery: Gallery
    counts: dict[str, int]  # clips, people and groups of swaps that were used
    seconds: dict[str, float]  # by experiment


def evaluate(
    model: Model,
    clips: Sequence[EvalClip],
    swaps: Iterable[Swaps],
    swap_count: int,
    networks: MetricNetworks,
    settings: Settings,
    progress: Progress,
) -> Evaluation:
    """Run every experiment on held-out clips and groups of swaps, either of which may be empty.

    swap_count: number of groups. Raises UserError when both are empty.
    """
    if not len(clips) and not swap_count:
        raise UserError("there are no clips and no groups of swaps to evaluate on")
    samples, gallery = Samples(), Gallery()
    seconds: dict[str, float] = {}
    lags, videos = np.full(1, np.nan), VideoFeatures()
    sweeps: list[Sweep] = []

    def stage(name: str, total: int, work: Callable[[Callable[[int], None]], Result]) -> Result:
        start = time.perf_counter()
        with progress.stage(name, total) as advance:
            found = work(advance)
        seconds[name] = round(time.perf_counter() - start, 2)
        return found

    common = (networks, settings, samples)
    if len(clips):
        stage("reenact", len(clips), lambda go: measure_clips(model, clips, *common, gallery, go))
    if swap_count:
        stage("swaps", swap_count, lambda go: measure_swaps(model, swaps, *common, gallery, go))
    if len(clips) and settings.seeds:
        lags, videos = stage(
            "speech",
            len(clips),
            lambda go: measure_audio_driven(model, clips, *common, gallery, go),
        )
    if len(clips) and settings.sweep_clips:
        total = len(swept_controls()) * min(len(clips), settings.sweep_clips)
        more = (*common, gallery)
        sweeps = stage("sweeps", total, lambda go: measure_sweeps(model, clips, *more, go))
    return Evaluation(
        summaries={key: samples.summary(key) for key in samples.names()},
        lags=[_finite(x) for x in lags],
        offset=_finite(audio_offset(lags)),
        sweeps={sweep.name: _sweep_result(sweep) for sweep in sweeps},
        fvd=_fvd(videos),
        gallery=gallery,
        counts={
            "clips": len(clips),
            "people": len({clip.identity for clip in clips}),
            "swap groups": swap_count,
        },
        seconds=seconds,
    )


def _sweep_result(sweep: Sweep) -> SweepResult:
    found = response(np.array(sweep.commands), np.array(sweep.answers))
    return SweepResult(sweep, _finite(found.correlation), _finite(found.monotonic))


def _fvd(videos: VideoFeatures) -> Fvd | None:
    if not videos.ours or not videos.truth:
        return None
    ours, truth = np.concatenate(videos.ours), np.concatenate(videos.truth)
    if min(len(ours), len(truth)) < 2:
        return None
    values = {divisor: frechet_distance(ours, truth, divisor) for divisor in DIVISORS}
    return Fvd(values, len(ours), len(truth))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
