"""Who is in a synthetic corpus: faces that an identity network tells apart, settled beforehand.

People are cast in the order of their numbers, each against those before, so a larger cast begins
with the smaller one. A person is whoever of the faces at hand differs most from the neighbour
before, and from everyone: a face drawn for this person, or one that was left over from earlier
ones. While none differs enough, another face is drawn.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.prepare.pool import run_jobs
from vasa_jax.data_pipeline.synthetic import likeness
from vasa_jax.data_pipeline.synthetic.likeness import THRESHOLD, Portrait, Vectors
from vasa_jax.data_pipeline.synthetic.plan import FORMAT, Plan, assets_mark, candidate_seed
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole

RECORD = "cast.json"
TRIES = 12
"""Faces drawn for a person at most."""
MEAN_TRIES = 3
"""The same of everyone so far, on average (and `TRIES` more): where there are many people, some
are alike whatever is drawn."""
FLOOR = 0.4
"""Between any two people. Of one person's pictures, moved against at rest, 95 % lie within 0.35 and
99 % within 0.43 (`variety`); few pairs of people as they come lie nearer than this."""
_SAVE_EVERY = 16
_DIGITS = 4

Draw = Callable[[int, Path | None], Portrait]
Embed = Callable[[Portrait], np.ndarray]
Place = tuple[int, int]
"""Number of a person, and of a face drawn for this person."""


class Face(NamedTuple):
    """seed: for `sample_identity`. vector: the network's."""

    seed: int
    vector: tuple[float, ...]


class Member(NamedTuple):
    """One person of a cast. tries: faces drawn for this person. passed: whether the one taken is
    far enough from all before."""

    face: Face
    tries: int
    passed: bool


def cast_people(
    plan: Plan,
    folder: Path,
    draw: Draw,
    embedder: Callable[[], Embed],
    advance: Callable[[int], None] = lambda n: None,
    workers: int = 0,
) -> list[Member]:
    """The cast of a plan, in the order of people's numbers; it depends on seed and assets alone.

    What lies in `folder` is kept, and the rest added to it as it is found. draw: seed and assets to
    a portrait, in `workers` processes, in this one where that is 0. embedder: makes what takes a
    portrait to its vector, here. advance: called with 1 after each person. Raises UserError for a
    record that is broken or of other rules, and what draw raises.
    """
    path, rules = Path(folder) / RECORD, _rules(plan)
    members, spare = _read(path, rules)
    advance(min(len(members), plan.identities))
    left = plan.identities - len(members)
    if left <= 0:
        return members[: plan.identities]
    embed, seen = embedder(), {}
    pool, tries = _Pool(members, spare), 0
    jobs = _wanted(plan.identities, lambda: (len(members), tries))
    outcomes = run_jobs(_draw, jobs, min(workers, left), (plan.seed, plan.assets, draw))
    with contextlib.closing(outcomes):
        while len(members) < plan.identities:
            while (place := (len(members), tries)) not in seen:
                outcome = next(outcomes)
                if outcome.error is not None:
                    raise outcome.error
                drawn, picture = outcome.value
                seen[drawn] = tuple(np.round(embed(picture), _DIGITS).tolist())
            pool.add(Face(candidate_seed(plan.seed, *place), seen.pop(place)))
            tries += 1
            best, margin = pool.best()
            if margin <= 0 and tries < _most_tries(members):
                continue
            members.append(Member(pool.take(best), tries, margin > 0))
            tries = 0
            if len(members) == plan.identities or len(members) % _SAVE_EVERY == 0:
                _write(path, rules, members, pool.faces)
            advance(1)
    return members


def _most_tries(members: Sequence[Member]) -> int:
    """How many faces may be drawn for the next person."""
    left = MEAN_TRIES * (len(members) + 1) + TRIES - sum(member.tries for member in members)
    return min(max(left, 1), TRIES)


class _Pool:
    """Faces at hand, with their distances to the last and to the nearest of those who are cast."""

    def __init__(self, members: Sequence[Member], spare: Sequence[Face]):
        self.faces: list[Face] = []
        self._cast = [np.array(member.face.vector) for member in members]
        self._vectors: list[np.ndarray] = []
        self._last, self._nearest = np.zeros(0), np.zeros(0)
        for face in spare:
            self.add(face)

    def add(self, face: Face) -> None:
        vector = np.array(face.vector)
        apart = [np.inf]
        if self._cast:
            apart = np.linalg.norm(np.array(self._cast) - vector, axis=1)
        self.faces.append(face)
        self._vectors.append(vector)
        self._last = np.append(self._last, apart[-1])
        self._nearest = np.append(self._nearest, np.min(apart))

    def best(self) -> tuple[int, float]:
        """Which face differs most, and by how much more than it must (0 or less: too alike). Where
        not all can be had, differing from the neighbour comes first."""
        margins = np.minimum(self._last - THRESHOLD, self._nearest - FLOOR)
        best = int(np.lexsort((-margins, self._last <= THRESHOLD))[0])
        return best, float(margins[best])

    def take(self, number: int) -> Face:
        """This face is the next person."""
        face, vector = self.faces.pop(number), self._vectors.pop(number)
        self._cast.append(vector)
        self._nearest = np.delete(self._nearest, number)
        self._last = np.zeros(0)
        if self.faces:
            self._last = np.linalg.norm(np.array(self._vectors) - vector, axis=1)
            self._nearest = np.minimum(self._nearest, self._last)
        return face


def _wanted(count: int, now: Callable[[], Place]) -> Iterator[Place]:
    """Which faces are worth drawing next: first the one that is waited for, then the first of
    everyone to come (sure to be needed), last the others (perhaps needed). now: (person, attempt)
    that is waited for."""
    begun = set()
    start, _ = now()
    later = [(person, 0) for person in range(start, count)]
    later += [(person, attempt) for person in range(start, count) for attempt in range(1, TRIES)]
    for place in later:
        while (urgent := now()) not in begun and urgent[0] < count:
            begun.add(urgent)
            yield urgent
        if place not in begun and place >= now():
            begun.add(place)
            yield place


def vectors_of(members: Sequence[Member]) -> Vectors:
    return np.array([member.face.vector for member in members])


def partners(members: Sequence[Member]) -> Callable[[int, Sequence[int]], list[int]]:
    """Which of some people are other people than a person to the network; else who is farthest."""
    apart = likeness.distances(vectors_of(members))

    def far(person: int, others: Sequence[int]) -> list[int]:
        enough = [other for other in others if apart[person, other] > THRESHOLD]
        return enough or [max(others, key=lambda other: apart[person, other])]

    return far


def summarise(members: Sequence[Member]) -> dict[str, Any]:
    """Distances and tries of a cast, JSON-ready: percentiles of neighbours, nearest and pairs."""
    found = likeness.spread(vectors_of(members))
    neighbours = int((found.consecutive <= THRESHOLD).sum())
    return {
        "people": len(members),
        "faces_drawn": sum(member.tries for member in members),
        "too_like_neighbour": neighbours,
        "too_like_another": sum(not member.passed for member in members) - neighbours,
        **{name: likeness.percentiles(values) for name, values in found._asdict().items()},
    }


def tell(summary: dict[str, Any]) -> list[str]:
    """The same in lines for people."""
    lines = [
        f"cast: {summary['people']} people out of {summary['faces_drawn']} faces; "
        f"{summary['too_like_neighbour']} too like the one before ({THRESHOLD} or less), "
        f"{summary['too_like_another']} too like another ({FLOOR} or less)"
    ]
    for name, words in (
        ("consecutive", "neighbours"),
        ("nearest", "nearest other of each"),
        ("pairs", "all pairs"),
    ):
        if p := summary[name]:
            lines.append(
                f"dlib distance, {words}: 5 % {p['low']:.2f}, median {p['median']:.2f}, "
                f"95 % {p['high']:.2f}; above {THRESHOLD}: {p['above']:.0%}"
            )
    return lines


def _draw(job: Place, seed: int, assets: Path | None, draw: Draw):
    return job, draw(candidate_seed(seed, *job), assets)


def _rules(plan: Plan) -> dict[str, Any]:
    """What a cast depends on."""
    return {
        "format": FORMAT,
        "seed": plan.seed,
        "assets": assets_mark(plan.assets),
        "threshold": THRESHOLD,
        "floor": FLOOR,
        "tries": [TRIES, MEAN_TRIES],
    }


def _read(path: Path, rules: dict[str, Any]) -> tuple[list[Member], list[Face]]:
    try:
        found = json.loads(path.read_text())
        kept = found["rules"]
        members = [
            Member(_face(row), int(row["tries"]), bool(row["passed"])) for row in found["people"]
        ]
        spare = [_face(row) for row in found["spare"]]
    except FileNotFoundError:
        return [], []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); delete it, and the same people are cast again"
        ) from None
    if kept != rules:
        raise UserError(
            f"{path}: people were cast by other rules; choose another folder, or delete this one"
        )
    return members, spare


def _face(row: dict[str, Any]) -> Face:
    return Face(int(row["seed"]), tuple(float(v) for v in row["vector"]))


def _write(path: Path, rules: dict[str, Any], members: list[Member], spare: list[Face]) -> None:
    people = [{"tries": m.tries, "passed": m.passed, **m.face._asdict()} for m in members]
    record = {"rules": rules, "people": people, "spare": [face._asdict() for face in spare]}
    write_whole(path, "cast", json.dumps(record) + "\n")
