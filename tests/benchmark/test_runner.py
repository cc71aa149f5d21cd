"""Measuring cases: resumable, within a deadline, with the reason where it fails."""

import json

import jax
import pytest

from tests.benchmark.helpers import Bench
from vasa_jax.benchmark.case import Case
from vasa_jax.benchmark.runner import OUT_OF_MEMORY, Effort, run_cases, spread
from vasa_jax.benchmark.store import Store
from vasa_jax.benchmark.table import markdown
from vasa_jax.errors import UserError

HERE, THERE = {"device": "here"}, {"device": "there"}


def test_rows_that_are_there_are_not_measured_again(tmp_path):
    path, bench = tmp_path / "deep" / "r.json", Bench()
    cases = [bench.case(1), bench.case(2)]
    assert run_cases(cases[:1], Store(path, HERE), Effort(repeats=5))
    assert bench.runs == 6  # a warm-up and five repeats
    said = []
    assert run_cases(cases, Store(path, HERE), Effort(repeats=5), said.append)
    assert bench.prepared == [1, 2]
    assert [row["settings"]["number"] for row in said] == [1, 2]
    run_cases(cases, Store(path, HERE), Effort(repeats=5, again=True))
    assert bench.prepared == [1, 2, 1, 2]
    assert len(Store(path, HERE).rows) == 2
    # Another device keeps its own rows in the same file.
    run_cases(cases, Store(path, THERE), Effort(repeats=5))
    assert len(json.loads(path.read_text())["rows"]) == 4
    assert not list(path.parent.glob(".*"))


def test_a_row_says_what_it_must(tmp_path):
    bench, store = Bench(), Store(None, HERE)
    run_cases([bench.case(1)], store, Effort(), roofline={"matmul": 1e12, "copy": 1e11})
    row = store.rows[0]
    assert row["seconds"]["repeats"] == 20
    assert row["seconds"]["min"] <= row["seconds"]["median"] <= row["seconds"]["max"]
    assert row["compile_s"] == 0.5
    assert row["warmup_s"] >= 0
    assert row["per_second"]["median"] == pytest.approx(4 / row["seconds"]["median"])
    rate = 1e9 / row["seconds"]["median"]
    assert row["tflops_per_second"] == pytest.approx(rate / 1e12)
    assert row["share_of_matmul"] == pytest.approx(rate / 1e12)
    assert row["share_of_copy"] == pytest.approx(1e6 / row["seconds"]["median"] / 1e11)
    assert row["memory"]["host_peak_bytes"] > 2**20
    text = markdown(store.rows)
    assert "### toy" in text
    assert "number 1" in text


def test_no_row_begins_after_the_deadline(tmp_path):
    bench, path = Bench(), tmp_path / "r.json"
    assert not run_cases([bench.case(1)], Store(path, HERE), Effort(deadline=0.0))
    assert bench.prepared == []
    assert run_cases([bench.case(1)], Store(path, HERE), Effort(repeats=3))
    # What is there already needs no time.
    assert run_cases([bench.case(1)], Store(path, HERE), Effort(deadline=0.0))


def test_a_slow_row_makes_do_with_three_repeats():
    store = Store(None, HERE)
    run_cases([Bench().case(1)], store, Effort(row_seconds=0.0))
    assert store.rows[0]["seconds"]["repeats"] == 3


def test_what_cannot_be_measured_here_says_why(tmp_path):
    bench, path = Bench(), tmp_path / "r.json"

    def skip():
        raise UserError("there is no camera")

    def burst():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    cases = [Case("toy", {"number": 0}, "frames", skip), bench.case(1, burst)]
    run_cases(cases, Store(path, HERE), Effort())
    rows = Store(path, HERE).rows
    assert rows[0]["skipped"] == "there is no camera"
    assert rows[1]["failed"] == OUT_OF_MEMORY
    assert "there is no camera" in markdown(rows)
    # Too little memory stays so; what was skipped is tried again.
    cases[0] = bench.case(0)
    run_cases(cases, Store(path, HERE), Effort())
    assert bench.prepared == [1, 0]
    assert "seconds" in Store(path, HERE).find("toy", {"number": 0})

    def bug():
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        run_cases([bench.case(2, bug)], Store(path, HERE), Effort())


def test_a_trace_is_written_where_it_is_asked_for(tmp_path):
    store = Store(None, HERE)
    double = jax.jit(lambda x: x * 2)
    case = Bench().case(1, lambda: double(1.0).block_until_ready())
    run_cases([case], store, Effort(repeats=3, profile=tmp_path))
    assert list((tmp_path / "toy").rglob("*.xplane.pb"))


def test_spread():
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "repeats": 3}
