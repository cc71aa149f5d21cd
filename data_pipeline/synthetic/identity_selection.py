"""Selection of the identities of a synthetic corpus: faces that an identity network tells apart.

Greedy, in the order of the identities' numbers, so that a larger selection begins with the smaller
one: from the candidates at hand (sampled for this identity, or left over from earlier ones) the one
farthest from the previous identity and from all others is taken; while none is far enough, another
candidate is sampled.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.prepare.pool import run_jobs
from vasa_jax.data_pipeline.synthetic import identity_distance
from vasa_jax.data_pipeline.synthetic.identity_distance import THRESHOLD, Portrait, Vectors
from vasa_jax.data_pipeline.synthetic.plan import FORMAT, Plan, assets_mark, candidate_seed
from vasa_jax.errors import UserError
from vasa_jax.media.files import write_whole

RECORD = "cast.json"
TRIES = 12
"""Most candidates sampled for one identity."""
MEAN_TRIES = 3
"""Most candidates for each identity so far on average (and `TRIES` more): among many identities
some are alike whatever is sampled."""
FLOOR = 0.4
"""Least distance between any two identities; 99 % of one identity's own images lie within 0.43 of
each other (`identity_diversity`)."""
_SAVE_EVERY = 16
_DIGITS = 4

Draw = Callable[[int, Path | None], Portrait]
Embed = Callable[[Portrait], np.ndarray]
Place = tuple[int, int]
"""Number of an identity, and of a candidate sampled for it."""


class Candidate(NamedTuple):
    """A sampled face."""

    seed: int  # for `sample_identity`
    vector: tuple[float, ...]  # the identity network's embedding


class Selected(NamedTuple):
    """An identity of the corpus."""

    face: Candidate
    tries: int  # candidates sampled for this identity
    passed: bool  # whether it is far enough from all before


def select_identities(
    plan: Plan,
    folder: Path,
    draw: Draw,
    embedder: Callable[[], Embed],
    advance: Callable[[int], None] = lambda n: None,
    workers: int = 0,
) -> list[Selected]:
    """The identities of a plan in the order of their numbers; they depend on seed and assets alone.

    The record in `folder` is continued. draw: seed and assets to a portrait, called in `workers`
    processes (0: in this one). embedder: makes the function from a portrait to its embedding, in
    this process. advance: called with 1 after each identity. Raises UserError for a record that is
    broken or of other rules, and what draw raises.
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
            pool.add(Candidate(candidate_seed(plan.seed, *place), seen.pop(place)))
            tries += 1
            best, margin = pool.best()
            if margin <= 0 and tries < _most_tries(members):
                continue
            members.append(Selected(pool.take(best), tries, margin > 0))
            tries = 0
            if len(members) == plan.identities or len(members) % _SAVE_EVERY == 0:
                _write(path, rules, members, pool.faces)
            advance(1)
    return members


def _most_tries(members: Sequence[Selected]) -> int:
    """How many candidates may be sampled for the next identity."""
    left = MEAN_TRIES * (len(members) + 1) + TRIES - sum(member.tries for member in members)
    return min(max(left, 1), TRIES)


class _Pool:
    """Candidates, with their distances to the last and to the nearest selected identity."""

    def __init__(self, members: Sequence[Selected], spare: Sequence[Candidate]):
        self.faces: list[Candidate] = []
        self._cast = [np.array(member.face.vector) for member in members]
        self._vectors: list[np.ndarray] = []
        self._last, self._nearest = np.zeros(0), np.zeros(0)
        for face in spare:
            self.add(face)

    def add(self, face: Candidate) -> None:
        vector = np.array(face.vector)
        apart = [np.inf]
        if self._cast:
            apart = np.linalg.norm(np.array(self._cast) - vector, axis=1)
        self.faces.append(face)
        self._vectors.append(vector)
        self._last = np.append(self._last, apart[-1])
        self._nearest = np.append(self._nearest, np.min(apart))

    def best(self) -> tuple[int, float]:
        """The farthest candidate, and by how much it exceeds the least distances (0 or less: too
        alike). Distance to the previous identity goes before the others."""
        margins = np.minimum(self._last - THRESHOLD, self._nearest - FLOOR)
        best = int(np.lexsort((-margins, self._last <= THRESHOLD))[0])
        return best, float(margins[best])

    def take(self, number: int) -> Candidate:
        """Select this candidate."""
        face, vector = self.faces.pop(number), self._vectors.pop(number)
        self._cast.append(vector)
        self._nearest = np.delete(self._nearest, number)
        self._last = np.zeros(0)
        if self.faces:
            self._last = np.linalg.norm(np.array(self._vectors) - vector, axis=1)
            self._nearest = np.minimum(self._nearest, self._last)
        return face


def _wanted(count: int, now: Callable[[], Place]) -> Iterator[Place]:
    """The candidates to sample, in order: the one that is waited for, the first of every later
    identity (surely needed), then the others (perhaps needed). now: the one waited for."""
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


def vectors_of(members: Sequence[Selected]) -> Vectors:
    """Their embeddings, a row each."""
    return np.array([member.face.vector for member in members])


def distinct_partners(members: Sequence[Selected]) -> Callable[[int, Sequence[int]], list[int]]:
    """A function from an identity and others to those of the others that the network tells apart
    from it, else to the farthest."""
    apart = identity_distance.distances(vectors_of(members))

    def far(person: int, others: Sequence[int]) -> list[int]:
        enough = [other for other in others if apart[person, other] > THRESHOLD]
        return enough or [max(others, key=lambda other: apart[person, other])]

    return far


def summarise(members: Sequence[Selected]) -> dict[str, Any]:
    """Distances and tries of a selection, JSON-ready, as percentiles."""
    found = identity_distance.spread(vectors_of(members))
    neighbours = int((found.consecutive <= THRESHOLD).sum())
    return {
        "people": len(members),
        "faces_drawn": sum(member.tries for member in members),
        "too_like_neighbour": neighbours,
        "too_like_another": sum(not member.passed for member in members) - neighbours,
        **{name: identity_distance.percentiles(values) for name, values in found._asdict().items()},
    }


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """`summarise` as text."""
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
    """What a selection depends on."""
    return {
        "format": FORMAT,
        "seed": plan.seed,
        "assets": assets_mark(plan.assets),
        "threshold": THRESHOLD,
        "floor": FLOOR,
        "tries": [TRIES, MEAN_TRIES],
    }


def _read(path: Path, rules: dict[str, Any]) -> tuple[list[Selected], list[Candidate]]:
    try:
        found = json.loads(path.read_text())
        kept = found["rules"]
        members = [
            Selected(_candidate(row), int(row["tries"]), bool(row["passed"]))
            for row in found["people"]
        ]
        spare = [_candidate(row) for row in found["spare"]]
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


def _candidate(row: dict[str, Any]) -> Candidate:
    return Candidate(int(row["seed"]), tuple(float(v) for v in row["vector"]))


def _write(
    path: Path, rules: dict[str, Any], members: list[Selected], spare: list[Candidate]
) -> None:
    people = [{"tries": m.tries, "passed": m.passed, **m.face._asdict()} for m in members]
    record = {"rules": rules, "people": people, "spare": [face._asdict() for face in spare]}
    write_whole(path, "cast", json.dumps(record) + "\n")
