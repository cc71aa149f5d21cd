"""Identities are points in a square: who is selected, that it repeats, grows and restarts."""

import json

import numpy as np
import pytest

from vasa_jax.data_pipeline.synthetic import identity_distance, identity_selection
from vasa_jax.data_pipeline.synthetic.identity_distance import THRESHOLD, Portrait
from vasa_jax.data_pipeline.synthetic.identity_selection import (
    FLOOR,
    MEAN_TRIES,
    RECORD,
    TRIES,
    Candidate,
    Selected,
    _Pool,
    select_identities,
)
from vasa_jax.data_pipeline.synthetic.plan import Plan, candidate_seed, person_seed, swap_jobs
from vasa_jax.errors import UserError

PLAN = Plan(seed=3, identities=12, minutes=1)


def place(seed):
    """Where the face of a seed lies."""
    return np.random.default_rng(seed).uniform(0, 1.6, 2)


def draw(seed, assets):
    return Portrait(np.zeros((1, 1, 3), np.uint8), np.tile(place(seed), (5, 1)).astype(np.float32))


def embedder():
    return lambda seen: seen.points[0]


def narrow():
    return lambda seen: seen.points[0] / 100


class Refuses:
    def __call__(self, *_):
        raise AssertionError("nothing is to be drawn again")


def test_people_keep_their_distances_and_repeat(tmp_path):
    steps = []
    members = select_identities(PLAN, tmp_path / "a", draw, embedder, steps.append)
    assert sum(steps) == 12
    faces = np.array([place(member.face.seed) for member in members])
    for k in range(1, 12):
        apart = np.linalg.norm(faces[:k] - faces[k], axis=1)
        within = apart[-1] > THRESHOLD and apart.min() > FLOOR
        edge = min(abs(apart[-1] - THRESHOLD), abs(apart.min() - FLOOR)) < 1e-3  # rounding
        assert within == members[k].passed or edge
    assert sum(m.passed for m in members) >= 5
    assert len({m.face.seed for m in members}) == 12
    assert all(1 <= m.tries <= TRIES for m in members)
    assert members == select_identities(PLAN, tmp_path / "b", draw, embedder)
    assert members != select_identities(PLAN._replace(seed=4), tmp_path / "c", draw, embedder)


def test_the_first_two_by_hand(tmp_path):
    """Faces are drawn until one is far enough from the first person; the farthest is taken."""
    _, second = select_identities(PLAN._replace(identities=2), tmp_path, draw, embedder)
    first = place(candidate_seed(3, 0, 0))
    tried = [candidate_seed(3, 1, n) for n in range(TRIES)]
    far = [float(np.linalg.norm(place(seed) - first)) for seed in tried]
    stop = next(n for n, value in enumerate(far) if value > THRESHOLD)
    assert second.tries == stop + 1
    assert second.face.seed == tried[stop]


def test_left_over_faces_are_tried_again(tmp_path):
    members = select_identities(PLAN, tmp_path, draw, embedder)
    own = {(k, t): candidate_seed(3, k, t) for k in range(12) for t in range(TRIES)}
    owner = {seed: key for key, seed in own.items()}
    assert any(owner[m.face.seed][0] < k for k, m in enumerate(members))
    spare = json.loads((tmp_path / RECORD).read_text())["spare"]
    drawn = {own[k, t] for k, m in enumerate(members) for t in range(m.tries)}
    assert {m.face.seed for m in members} | {row["seed"] for row in spare} == drawn
    assert len(drawn) == 12 + len(spare)


def test_a_larger_cast_begins_with_the_smaller_one(tmp_path, monkeypatch):
    monkeypatch.setattr(identity_selection, "_SAVE_EVERY", 3)
    whole = select_identities(PLAN, tmp_path / "a", draw, embedder)
    few = select_identities(PLAN._replace(identities=5), tmp_path / "b", draw, embedder)
    assert few == whole[:5]
    drawn = []

    def counted(seed, assets):
        drawn.append(seed)
        return draw(seed, assets)

    assert select_identities(PLAN, tmp_path / "b", counted, embedder) == whole
    assert not set(drawn) & {candidate_seed(3, k, t) for k in range(5) for t in range(TRIES)}
    assert select_identities(PLAN, tmp_path / "b", Refuses(), Refuses()) == whole
    assert (
        select_identities(PLAN._replace(identities=5), tmp_path / "b", Refuses(), Refuses()) == few
    )

    def breaks(seed, assets):
        if len(drawn) == 9:
            raise KeyboardInterrupt
        return counted(seed, assets)

    drawn.clear()
    with pytest.raises(KeyboardInterrupt):
        select_identities(PLAN, tmp_path / "c", breaks, embedder)
    kept = len(json.loads((tmp_path / "c" / RECORD).read_text())["people"])
    assert 0 < kept < 12
    assert select_identities(PLAN, tmp_path / "c", draw, embedder) == whole


def test_processes_cast_the_same(tmp_path):
    alone = select_identities(PLAN, tmp_path / "a", draw, embedder)
    assert select_identities(PLAN, tmp_path / "b", draw, embedder, workers=2) == alone


def test_the_farthest_of_too_alike_faces_is_taken_and_counted(tmp_path):
    members = select_identities(PLAN._replace(identities=9), tmp_path, draw, narrow)
    assert [m.passed for m in members] == [True] + [False] * 8
    tried = [candidate_seed(3, 1, n) for n in range(members[1].tries)]
    first = place(members[0].face.seed)
    assert members[1].face.seed == max(tried, key=lambda s: np.linalg.norm(place(s) - first))
    # Where all are alike, drawing ends at a bounded number of faces.
    assert members[1].tries == TRIES
    assert [m.tries for m in members[-3:]] == [MEAN_TRIES] * 3
    assert sum(m.tries for m in members) == MEAN_TRIES * 9 + TRIES
    summary = identity_selection.summarise(members)
    assert (summary["people"], summary["faces_drawn"]) == (9, MEAN_TRIES * 9 + TRIES)
    assert (summary["too_like_neighbour"], summary["too_like_another"]) == (8, 0)
    assert summary["pairs"]["above"] == 0
    assert "8 too like the one before" in identity_selection.summary_lines(summary)[0]
    json.dumps(summary)


def test_the_neighbour_comes_first():
    members = [Selected(Candidate(n, v), 1, True) for n, v in enumerate(((0.0,), (3.0,)))]
    faces = [Candidate(n, (v,)) for n, v in enumerate((3.59, 0.2, 3.1, 0.1))]
    pool = _Pool(members, faces)
    # 0.2 is too like the first person, but 3.59 too like the neighbour, if by less.
    best, margin = pool.best()
    assert (best, margin) == (1, pytest.approx(0.2 - FLOOR))
    assert pool.take(best).vector == (0.2,)
    assert pool.best() == (0, pytest.approx(3.59 - 3 - FLOOR))  # 3.39 from the one just cast
    pool.add(Candidate(9, (5.0,)))
    best, margin = pool.best()
    assert (best, margin) == (4 - 1, pytest.approx(5 - 3 - FLOOR))


def test_a_record_of_other_rules_or_broken_is_refused(tmp_path):
    select_identities(PLAN, tmp_path, draw, embedder)
    with pytest.raises(UserError, match="other rules"):
        select_identities(PLAN._replace(seed=4), tmp_path, Refuses(), Refuses())
    for text in ("{", "[]", '{"rules": {}}'):
        (tmp_path / RECORD).write_text(text)
        with pytest.raises(UserError, match="cannot be read"):
            select_identities(PLAN, tmp_path, Refuses(), Refuses())


def test_spread_by_hand():
    found = identity_distance.spread(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.5]]))
    np.testing.assert_allclose(found.consecutive, [1, 0.5])
    np.testing.assert_allclose(found.nearest, [1, 0.5, 0.5])
    np.testing.assert_allclose(sorted(found.pairs), [0.5, 1, 1.25**0.5])
    assert identity_distance.percentiles(found.pairs)["above"] == pytest.approx(2 / 3, abs=1e-3)
    assert identity_selection.summary_lines(
        identity_selection.summarise([Selected(Candidate(1, (0.0, 1.0)), 1, True)])
    )


def test_swaps_are_of_people_who_differ(tmp_path):
    plan = Plan(seed=3, identities=40, minutes=4, swaps=30)
    members = select_identities(plan, tmp_path, draw, embedder)
    faces = [place(member.face.seed) for member in members]
    jobs = swap_jobs(plan, identity_selection.distinct_partners(members))
    splits = {job.split for job in jobs}
    assert "train" in splits
    for job in jobs:
        one, other = job.people
        room = {p for j in jobs if j.split == job.split for p in j.people}
        apart = np.linalg.norm(faces[one] - faces[other])
        farthest = max(np.linalg.norm(faces[one] - faces[p]) for p in room)
        assert one != other
        assert apart > THRESHOLD - 1e-3 or apart >= farthest - 1e-9
    assert any(
        np.linalg.norm(faces[a] - faces[b]) < THRESHOLD
        for a, b in (job.people for job in swap_jobs(plan))
    )  # else the rule above would show nothing


def test_a_cast_settles_the_seeds():
    plan = PLAN._replace(cast=tuple(range(100, 112)))
    assert [person_seed(plan, k) for k in (0, 11)] == [100, 111]
    assert person_seed(PLAN, 5) == candidate_seed(3, 5, 0)
    assert len({candidate_seed(0, k, t) for k in range(200) for t in range(TRIES)}) == 200 * TRIES
