"""`vasa-jax evaluate` on the debug model, and its errors."""

import json

import numpy as np
import pytest

from tests.data_pipeline.helpers import make_clip
from tests.evaluation.helpers import mean_difference, write_held_out
from vasa_jax import cli
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.evaluation.types import FaceMeasurements, MetricNetworks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips and swaps as files: three people, one of them twice."""
    place = tmp_path_factory.mktemp("data")
    write_held_out(place)
    return place


def from_pixels(frames, video):
    """Finite measurements of any frames, since the debug model renders no faces."""
    means = frames.reshape(len(frames), -1, 3).mean(1) / 255
    return FaceMeasurements(
        rotation=means - 0.5,
        log_scale=means[:, 0] - 0.5,
        gaze=means[:, :2] - 0.5,
        mouth=means[:, 1],
        points=np.broadcast_to(np.full((5, 2), 0.5), (len(frames), 5, 2)),
        expression=means,
        emotion=np.repeat(means.mean(), 8),
    )


def vectors(frames, points):
    return frames.reshape(len(frames), -1, 3).mean(1) / 255


@pytest.fixture
def pixels(monkeypatch):
    def make(size, labellers, fvd):
        features = (lambda v: v.reshape(len(v), 25, -1).mean(-1)) if fvd else None
        return MetricNetworks(from_pixels, mean_difference, vectors, features)

    monkeypatch.setattr("vasa_jax.evaluation.face_analysis.load_metric_networks", make)
    monkeypatch.setattr("vasa_jax.score.in_memory.frame_scores", lambda labellers: None)


QUICK = [
    "--clips=2",
    "--groups=1",
    "--frames=2",
    "--seconds=2",
    "--seeds=2",
    "--sweep-clips=1",
    "--steps=2",
    "--fvd",
    "--quiet",
]


def test_the_debug_model_is_measured_from_end_to_end(
    folder, tmp_path, pixels, capsys, debug_pipeline, monkeypatch
):
    # Loaded and compiled once for all tests; the next test loads its own.
    monkeypatch.setattr("vasa_jax.commands.generate.load_pipeline", lambda *_, **__: debug_pipeline)
    out = tmp_path / "report"
    done = cli.main(["evaluate", "--config=debug", f"--data={folder}", "-o", str(out), *QUICK])
    assert done == 0, capsys.readouterr().err
    content = json.loads((out / "report.json").read_text())
    assert content["counts"] == {"clips": 2, "people": 2, "swap groups": 1}
    assert (content["config"], content["weights"]) == ("debug", "untrained")
    figures = content["figures"]
    for prefix in ("self", "swap", "pose_only", "dyn_only"):
        assert 3 < figures[f"{prefix}.psnr"]["mean"] < 60
        assert -1 <= figures[f"{prefix}.ssim"]["mean"] <= 1
    for key in (
        "cross.pose_error",
        "cross.pose_error_own",
        "cross.gaze_error",
        "self.mouth_error",
        "speech.delta_pose_geodesic",
        "speech.diversity_pose",
        "speech.diversity_dyn",
        "speech.jump_ratio",
        "truth.delta_pose_l1",
        "speech.gaze_error",
    ):
        assert figures[key]["mean"] >= 0, key
    assert -1 <= figures["speech.mouth_correlation"]["mean"] <= 1
    assert figures["speech.face_found"]["count"] == 2 * 2 * 25
    assert -10 <= content["offset"]["frames"] <= 10
    assert len(content["offset"]["correlation by lag"]) == 21
    assert [len(s["answers"]) for s in content["sweeps"].values()] == [5, 5, 5, 3, 3, 3, 3]
    assert content["fvd"]["by_divisor"]["n-1"] > 0
    assert content["clips from"] == "4 files in clips"
    assert str(tmp_path) not in (out / "report.json").read_text()
    assert all((out / name).is_file() for name in content["sheets"])
    assert len(content["aims"]) == 14


def test_a_dataset_without_swaps_is_enough(folder, tmp_path, pixels, capsys):
    place = tmp_path / "data"
    (place / "clips").mkdir(parents=True)
    write_clip(place / "clips" / "0.npz", make_clip(0, "anna", frames=9, labels=False))
    out = tmp_path / "report"
    args = ["evaluate", "--config=debug", f"--data={place}", "-o", str(out), *QUICK]
    assert cli.main([*args[:-1], "--log-json", "--seeds=0", "--sweep-clips=0"]) == 0
    assert "no exact swaps" in capsys.readouterr().out
    content = json.loads((out / "report.json").read_text())
    assert content["counts"] == {"clips": 1, "people": 1, "swap groups": 0}
    assert not any(k.startswith(("cross.", "swap.", "speech.")) for k in content["figures"])
    assert {a["met"] for a in content["aims"] if "LPIPS" not in a["text"]} >= {None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames=0"], "--frames 0 must be at least 1"),
        (["--seconds=nan"], "--seconds nan must be more than 0"),
        (["--sweep-clips=-1"], "--sweep-clips -1 must be at least 0"),
        (["--labeller=nose=a:b"], "no labeller 'nose'"),
        (["--config=demmo"], "unknown config 'demmo'"),
        (["--data=nowhere"], "no such folder"),
        (["--split=test"], "leave --split out"),
        (["--clips=0", "--groups=0"], "nothing"),
    ],
)
def test_mistakes_are_told_before_the_model_is_loaded(folder, tmp_path, capsys, words, message):
    out = tmp_path / "report"
    base = ["evaluate", "--config=debug", f"--data={folder}", "-o", str(out)]
    assert cli.main([*base, *words]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_an_empty_folder_and_a_full_output_are_told(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    base = ["evaluate", "--config=debug"]
    assert cli.main([*base, f"--data={tmp_path / 'empty'}", "-o", str(tmp_path / "r")]) == 2
    assert "neither clips nor swaps" in capsys.readouterr().err
    assert cli.main([*base, f"--data={folder}", "-o", str(folder)]) == 2
    assert "would overwrite the data" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert cli.main([*base, f"--data={folder}", "-o", str(tmp_path / "full")]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
