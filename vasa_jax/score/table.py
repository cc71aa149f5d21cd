"""What a run found, by system: means, intervals over people, and what could not be measured."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.evaluation.frechet import DIVISORS, frechet_distance
from vasa_jax.evaluation.statistics import Samples, Summary
from vasa_jax.score.metrics.theval import MOTION, SOUND
from vasa_jax.score.pairing import REAL
from vasa_jax.score.run import Result
from vasa_jax.score.types import Metric

THEVAL = (*MOTION, *SOUND)


class Frechet(NamedTuple):
    """A Frechet video distance to the real videos."""

    by_divisor: dict[str, float]  # by `frechet.DIVISORS`
    ours: int  # runs of 25 frames of the system
    real: int  # real ones


class System(NamedTuple):
    """One row of the table."""

    name: str
    videos: int
    people: int
    unreadable: int
    face_found: float | None  # share of the frames
    figures: dict[str, Summary]  # by key
    reasons: dict[str, dict[str, int]]  # key -> reason -> number of videos
    frechet: Frechet | None
    theval: dict[str, float]  # 1 - |x - real| / |real|, by key


def systems_of(results: Sequence[Result], metrics: Sequence[Metric]) -> list[System]:
    """Every system in order of its first video, the real videos last.

    The real videos' Frechet distance is between two halves of them, by people in turns: what it
    says of two sets that do not differ.
    """
    names = list(dict.fromkeys(r.video.system for r in results if r.video.system != REAL))
    by_name = {name: [r for r in results if r.video.system == name] for name in [*names, REAL]}
    real = by_name[REAL]
    keys = {key: metric for metric in metrics for key in metric.specs}
    rows = [
        _system(name, rows, keys, _features(rows), _features(real))
        for name, rows in by_name.items()
        if rows and name != REAL
    ]
    if real:
        unpaired = {key: metric for key, metric in keys.items() if not metric.paired}
        rows.append(_system(REAL, real, unpaired, *_halves(real)))
        rows = [row._replace(theval=_theval(row, rows[-1])) for row in rows]
    return rows


def _system(
    name: str, rows: list[Result], keys: dict[str, Metric], ours: np.ndarray, real: np.ndarray
) -> System:
    samples, reasons = Samples(), {key: Counter[str]() for key in keys}
    for row in rows:
        for key in keys:
            values = {} if row.entry is None else row.entry.values
            samples.add(key, row.video.person, values.get(key, np.nan))
            if key not in values:
                why = {key: "cannot be read"} if row.entry is None else row.entry.reasons
                said = why.get(key, "not asked for")
                reasons[key][said] += 1
    read = [row.entry for row in rows if row.entry is not None]
    frames = sum(entry.frames for entry in read)
    return System(
        name=name,
        videos=len(rows),
        people=len({row.video.person for row in rows}),
        unreadable=len(rows) - len(read),
        face_found=sum(e.found * e.frames for e in read) / frames if frames else None,
        figures={key: samples.summary(key) for key in keys},
        reasons={key: dict(found) for key, found in reasons.items() if found},
        frechet=_frechet(ours, real),
        theval={},
    )


def _features(rows: Sequence[Result]) -> np.ndarray:
    found = [np.array(row.entry.features) for row in rows if row.entry and row.entry.features]
    return np.concatenate(found) if found else np.zeros((0, 1))


def _halves(rows: list[Result]) -> tuple[np.ndarray, np.ndarray]:
    people = sorted({row.video.person for row in rows})
    first = set(people[::2])
    others = [row for row in rows if row.video.person not in first]
    return _features([row for row in rows if row.video.person in first]), _features(others)


def _frechet(ours: np.ndarray, real: np.ndarray) -> Frechet | None:
    if min(len(ours), len(real)) < 2:
        return None
    values = {divisor: frechet_distance(ours, real, divisor) for divisor in DIVISORS}
    return Frechet(values, len(ours), len(real))


def _theval(row: System, real: System) -> dict[str, float]:
    """THEval's scores of the four metrics that are here, against the real videos' means."""
    found = {}
    for key in THEVAL:
        ours, truth = row.figures[key].mean, real.figures[key].mean
        if ours is not None and truth:
            found[key] = 1 - abs(ours - truth) / abs(truth)
    return found


def as_json(row: System) -> dict[str, Any]:
    """A row, JSON-ready."""
    return {
        **row._asdict(),
        "figures": {key: asdict(summary) for key, summary in row.figures.items()},
        "frechet": None if row.frechet is None else row.frechet._asdict(),
    }
