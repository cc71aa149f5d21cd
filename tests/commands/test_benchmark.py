"""`vasa-jax benchmark` on the debug model: every benchmark runs, and resumes."""

import json

import jax
import pytest

from vasa_jax import cli
from vasa_jax.benchmark import roofline
from vasa_jax.benchmark.batch_benchmarks import LENGTHS

QUICK = ["--repeats", "3", "--row-seconds", "1", "--batches", "2", "--steps", "4", "--seconds", "1"]


@pytest.fixture(autouse=True)
def _small_roofline(monkeypatch):
    monkeypatch.setattr(roofline, "MATMUL_SIZES", {"cpu": (64,)})
    monkeypatch.setattr(roofline, "COPY_BYTES", {"cpu": (2**16,)})


def benchmark(path, *words):
    return cli.main(["benchmark", "--config", "debug", *QUICK, "-o", str(path), *words])


def rows(path, question):
    return [r for r in json.loads(path.read_text())["rows"] if r["question"] == question]


def test_decode_and_the_file(tmp_path, capsys):
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", "decode") == 0
    row = rows(path, "decode")[0]
    assert row["settings"] == {
        "config": "debug",
        "set": [],
        "precision": "f32",
        "size": 64,
        "batch": 2,
    }
    assert row["flops"] > 1e6
    assert row["memory"]["program_bytes"] > 1000
    assert row["share_of_matmul"] > 0
    assert {r["settings"]["ceiling"] for r in rows(path, "ceilings")} == {"matmul", "copy"}
    (facts,) = json.loads(path.read_text())["environments"].values()
    assert facts["jax"] == jax.__version__
    assert {"device", "driver", "jaxlib", "xla_flags", "platform"} <= set(facts)
    assert "frames" in capsys.readouterr().out
    before = path.read_text()
    assert benchmark(path, "--what", "decode") == 0  # nothing left to measure
    assert path.read_text() == before


@pytest.mark.parametrize("question", ["online", "sampler", "encode", "audio", "train-motion"])
def test_other_benchmarks(tmp_path, question):
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", question, "--set", "precision=bf16") == 0
    row = rows(path, question)[0]
    assert row["settings"]["precision"] == "bf16"
    assert row["per_second"]["median"] > 0
    assert row["compile_s"] > 0
    if question == "sampler":
        figures = row["figures"]
        assert figures["ms_per_window"] == pytest.approx(4 * figures["ms_per_step"])
    if question == "online":
        assert row["units"] == 25
        assert row["figures"]["first_frame_ms"]["p50"] <= row["figures"]["latency_ms"]["p99"]


def test_end_to_end_with_and_without_a_video(tmp_path):
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", "end-to-end") == 0
    plain, video = rows(path, "end-to-end")
    assert plain["units"] == video["units"] == 25
    assert not plain["settings"]["video"]
    assert "write" in video["figures"]["stage_seconds"]
    assert "write" not in plain["figures"]["stage_seconds"]


def test_batch_against_one_by_one(tmp_path):
    """On one device and on all eight, each run of the batch beside one clip after another."""
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", "batch") == 0
    found = rows(path, "batch")
    assert [row["settings"]["devices"] for row in found] == [1, 8]
    for row in found:
        assert row["units"] == sum(-(-round(25 * share * 100) // 100) for share in LENGTHS)
        ratio = row["figures"]["over_one_by_one"]
        assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
        assert row["figures"]["one_by_one_frames_per_second"] > 0


def test_end_to_end_without_pyav_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", "end-to-end") == 0
    assert "PyAV is not installed" in rows(path, "end-to-end")[1]["skipped"]


@pytest.mark.slow
def test_a_step_of_stage_1(tmp_path):
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", "train-face") == 0
    assert rows(path, "train-face")[0]["units"] == 2


def test_loader_needs_a_dataset(tmp_path):
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", "loader") == 0
    assert "--data DIR" in rows(path, "loader")[0]["skipped"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batches", "0"], "whole numbers"),
        (["--what", "dance"], "invalid choice"),
        (["--repeats", "0"], "more than 0"),
        (["--set", "face.wings=2"], "wings"),
        (["--data", "nowhere"], "no such data folder"),
        (["--what", "decode", "--sizes", "65"], "multiple of"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, message):
    assert benchmark(tmp_path / "r.json", *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
