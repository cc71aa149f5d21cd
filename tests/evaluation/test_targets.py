"""Targets: limits, fallbacks, and what was not measured."""

import pytest

from vasa_jax.evaluation.statistics import Summary
from vasa_jax.evaluation.targets import check_targets, interval, number
from vasa_jax.evaluation.types import Sweep


def summary(mean):
    return Summary(4, 0, 2, mean, mean, mean - 0.1, mean + 0.1)


def test_nothing_measured_is_neither_met_nor_missed():
    rows = check_targets({}, None, {})
    assert len(rows) == 14
    assert {(row.value, row.met) for row in rows} == {("not measured", None)}


@pytest.mark.parametrize(
    ("key", "mean", "met"),
    [("self.psnr", 25.0, True), ("self.psnr", 24.9, False), ("self.lpips", 0.13, False)],
)
def test_limits(key, mean, met):
    (row,) = (row for row in check_targets({key: summary(mean)}, None, {}) if row.met is not None)
    assert (row.key, row.met) == (key, met)
    assert row.value.startswith(number(mean))


def test_the_first_metric_that_was_measured_counts():
    nothing = Summary(0, 3, 0, None, None, None, None)
    found = {"cross.same_person": nothing, "swap.same_person": summary(0.95)}
    (row,) = (row for row in check_targets(found, None, {}) if row.met is not None)
    assert (row.key, row.met) == ("swap.same_person", True)


def test_offset_and_sweeps():
    curve = Sweep("distance", "", (0.0, 1.0, 2.0), (0.0, 1.0, 2.0))
    sweeps = {"gaze_yaw": (curve, 0.95, 1.0), "gaze_pitch": (curve, 0.95, 0.5)}
    sweeps["distance"] = (curve, None, 0.0)
    rows = {row.key: row for row in check_targets({}, -2.0, sweeps)}
    assert (rows["offset"].value, rows["offset"].met) == ("-2", False)
    assert [rows[f"sweeps.{name}"].met for name in sweeps] == [True, False, False]
    assert rows["sweeps.distance"].value == "0% of the steps right, no answer"
    assert check_targets({}, 1.0, {})[10].met


def test_numbers_and_intervals():
    assert [number(x) for x in (None, 0.12345, -12.345, 123.45)] == [
        "—",
        "0.123",
        "-12.35",
        "123.5",
    ]
    assert interval(summary(1.0)) == " [0.900, 1.100]"
    assert interval(Summary(1, 0, 1, 1.0, 1.0, None, None)) == ""
