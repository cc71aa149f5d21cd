"""`vasa-jax benchmark` on the debug model: every question answers, and goes on where it was."""

import json

import jax
import pytest

from vasa_jax import cli
from vasa_jax.benchmark import roofline
from vasa_jax.benchmark.batch_benchmarks import LENGTHS
from vasa_jax.benchmark.clip_benchmarks import online_figures
from vasa_jax.benchmark.face_benchmarks import decode_cases
from vasa_jax.benchmark.motion_benchmarks import sampler_cases
from vasa_jax.benchmark.registry import BENCHMARKS
from vasa_jax.benchmark.subject import BenchmarkModel, Options, random_params
from vasa_jax.benchmark.training_benchmarks import FACE_TRIES, train_face_cases
from vasa_jax.commands.benchmark import BENCHMARK_NAMES
from vasa_jax.config import get_config
from vasa_jax.inference.stream import Piece

QUICK = ["--repeats", "3", "--row-seconds", "1", "--batches", "2", "--steps", "4", "--seconds", "1"]


@pytest.fixture(autouse=True)
def _small_ceilings(monkeypatch):
    monkeypatch.setattr(roofline, "MATMUL_SIZES", {"cpu": (64,)})
    monkeypatch.setattr(roofline, "COPY_BYTES", {"cpu": (2**16,)})


def benchmark(path, *words):
    return cli.main(["benchmark", "--config", "debug", *QUICK, "-o", str(path), *words])


def rows(path, question):
    return [r for r in json.loads(path.read_text())["rows"] if r["question"] == question]


def test_the_command_names_every_question():
    assert tuple(BENCHMARKS) == BENCHMARK_NAMES


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
def test_other_questions(tmp_path, question):
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


@pytest.mark.parametrize("stage", ["motion"])
def test_recomputing_is_no_work_of_the_model(stage):
    from vasa_jax.benchmark.training_benchmarks import _model_work, training_task
    from vasa_jax.benchmark.work import count_jaxpr
    from vasa_jax.training.mesh import single_device
    from vasa_jax.training.program import build_program

    def hardware(config):
        task = training_task(config, stage)
        program = build_program(task, single_device())
        return count_jaxpr(
            program.jitted.trace(program.abstract_state, task.frozen, task.batch).jaxpr
        )

    plain, full = (get_config("debug", [f"train_{stage}.remat={r}"]) for r in ("none", "full"))
    assert _model_work(full, stage) == hardware(plain)
    assert hardware(full).flops > 1.1 * hardware(plain).flops


def test_loader_needs_a_dataset(tmp_path):
    path = tmp_path / "r.json"
    assert benchmark(path, "--what", "loader") == 0
    assert "--data DIR" in rows(path, "loader")[0]["skipped"]


def test_a_loader_is_timed_and_closed(tmp_path):
    from vasa_jax.benchmark.runner import Effort, measure
    from vasa_jax.benchmark.training_benchmarks import LOADER_BATCHES, loader_cases

    class Batches:
        taken, closed = 0, False

        def __next__(self):
            self.taken += 1

        def close(self):
            self.closed = True

    batches = Batches()
    options = Options(data=tmp_path, open_loader=lambda folder, config, batch: batches)
    (case,) = loader_cases(BenchmarkModel(get_config("debug"), options=options))
    row = measure(case, Effort(repeats=3), {})
    assert batches.taken == 1 + 4 * LOADER_BATCHES
    assert batches.closed
    assert row["units"] == LOADER_BATCHES * 4


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


def test_which_rows_a_full_size_model_gets():
    model = BenchmarkModel(get_config("vasa1"))
    sizes = [(c.settings["size"], c.settings["batch"]) for c in decode_cases(model)]
    assert sizes == [(s, b) for s in (512, 256) for b in (1, 2, 4, 8, 16, 32)]
    found = [
        tuple(c.settings[k] for k in ("steps", "branches", "batch")) for c in sampler_cases(model)
    ]
    assert found[0] == (50, 3, 1)
    assert {f[0] for f in found} == {10, 25, 50}
    assert {f[1] for f in found} == {1, 2, 3}
    assert {f[2] for f in found} == {1, 4, 16, 64}
    assert len(found) == len(set(found)) == 8
    everything = BenchmarkModel(get_config("vasa1"), options=Options(full=True))
    assert len(list(sampler_cases(everything))) == 36
    tries = [(c.settings["batch"], c.settings["remat"]) for c in train_face_cases(model)]
    assert tries == list(FACE_TRIES)


def test_parameters_do_not_depend_on_the_picture_size():
    from vasa_jax.bundle import abstract_params

    config = get_config("demo")
    other = get_config("demo", ["face.image_size=512", "face.network_size=0"])
    assert abstract_params(config)["face"] == abstract_params(other)["face"]


def test_random_parameters_keep_a_signal_alive():
    shapes = {
        "a": {
            "kernel": jax.ShapeDtypeStruct((3, 3, 64, 32), "float32"),
            "bias": jax.ShapeDtypeStruct((32,), "float32"),
            "scale": jax.ShapeDtypeStruct((32,), "bfloat16"),
        }
    }
    made = random_params(shapes)["a"]
    assert made["kernel"].std() == pytest.approx((9 * 64) ** -0.5, rel=0.05)
    assert (made["bias"] == 0).all()
    assert (made["scale"] == 1).all()
    assert made["scale"].dtype == "bfloat16"


def test_online_figures_by_hand():
    import numpy as np

    frames = np.zeros((2, 1, 1, 3), np.uint8)
    # Two windows, heard at 0 and 1 s; the last pair of the second comes 100 ms after its first.
    runs = [
        [
            Piece(frames, 0.0, 0.010),
            Piece(frames, 0.0, 0.030),
            Piece(frames, 1.0, 1.020),
            Piece(frames, 1.0, 1.120),
        ]
    ]
    found = online_figures(runs)
    assert found["first_frame_ms"]["min"] == pytest.approx(10)
    assert found["first_frame_ms"]["max"] == pytest.approx(20)
    assert found["latency_ms"]["max"] == pytest.approx(120)
    assert found["frame_interval_ms"]["min"] == pytest.approx(10)
    assert found["frame_interval_ms"]["max"] == pytest.approx(50)
    # Frame 2 of the second window is due 80 ms after its first, and came 100 ms after it.
    assert found["late_share"] == pytest.approx(1 / 8)
