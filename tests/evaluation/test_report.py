"""The report: atomic, with metrics beside targets, and sheets of the right images."""

import json

import cv2
import numpy as np
import pytest

from tests.evaluation import helpers
from vasa_jax.errors import UserError
from vasa_jax.evaluation.report import check_output_folder, write_report
from vasa_jax.evaluation.run import evaluate
from vasa_jax.evaluation.types import Settings
from vasa_jax.inference.progress import Reporter

HEADER = {"config": "toy", "weights": "none", "data": "made up"}


@pytest.fixture(scope="module")
def found():
    clips = [helpers.make_clip(n, 30) for n in range(2)]
    settings = Settings(frames=3, seconds=1.2, seeds=1, sources=2, drivers=2, sweep_clips=1)
    swaps = [helpers.make_swaps()]
    model = helpers.ToyModel(turned=0.1)
    return evaluate(model, clips, swaps, 1, helpers.NETWORKS, settings, Reporter("quiet"))


def test_report_holds_metrics_targets_and_sheets(found, tmp_path):
    place = tmp_path / "a" / "report"
    table = write_report(place, found, HEADER)
    content = json.loads((place / "report.json").read_text())
    assert content["config"] == "toy"
    assert len(content["aims"]) == len(table) == 14
    pose = content["figures"]["cross.pose_error"]
    assert pose["mean"] == pytest.approx(np.degrees(0.1), abs=0.02)
    assert (pose["unit"], pose["count"], pose["groups"]) == ("deg", 6, 2)
    aim = next(a for a in content["aims"] if a["text"] == "pose error after transfer")
    assert (aim["met"], aim["key"]) == (False, "swap.pose_error")
    text = (place / "report.md").read_text()
    assert "| pose error after transfer | <= 3 deg | 5.7" in text
    assert "| no |" in text and "| yes |" in text  # noqa: PT018
    assert "CAPP" in text
    for name in content["sheets"]:
        assert f"({name})" in text
        assert cv2.imread(str(place / name)) is not None
    assert {"swaps.png", "reenactment.png", "talks.png", "mouth_1.png"} <= set(content["sheets"])
    assert {"factors.png", "one_motion.png", "sweep_gaze_yaw.png"} <= set(content["sheets"])
    assert "## What the instruments say of the truth" in text  # named in docs/evaluation.md
    assert sorted(p.name for p in place.parent.iterdir()) == ["report"]


def test_report_replaces_a_report_and_nothing_else(found, tmp_path):
    place = tmp_path / "report"
    write_report(place, found, HEADER)
    write_report(place, found, HEADER | {"config": "second"})
    assert json.loads((place / "report.json").read_text())["config"] == "second"
    other = tmp_path / "photos"
    other.mkdir()
    (other / "dear.jpg").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        write_report(other, found, HEADER)
    assert (other / "dear.jpg").read_text() == "mine"
    (place / "notes.md").write_text("what I saw")  # beside a report of ours
    with pytest.raises(UserError, match=r"holds other files \(notes.md\)"):
        write_report(place, found, HEADER)
    assert (place / "notes.md").read_text() == "what I saw"
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        check_output_folder(tmp_path / "file")
    with pytest.raises(UserError, match="cannot write report"):
        check_output_folder(tmp_path / "file" / "report")


def test_a_failed_report_leaves_the_old_one(found, tmp_path, monkeypatch):
    place = tmp_path / "report"
    write_report(place, found, HEADER)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vasa_jax.evaluation.report.plot_mouth", full_disk)
    with pytest.raises(UserError, match="No space left"):
        write_report(place, found, HEADER | {"config": "second"})
    assert json.loads((place / "report.json").read_text())["config"] == "toy"
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_sheets_show_what_they_say(found):
    """The toy world's pictures state their motion."""
    gallery = found.gallery
    for row in gallery.factors:
        source, driver, pose, exact_pose, dyn, exact_dyn = helpers.parse(np.stack(row))[0]
        assert pose[1] == pytest.approx(driver[1] + 0.1, abs=0.01)  # the model turns all heads
        assert (exact_pose[1], exact_dyn[1]) == pytest.approx((driver[1], source[1]), abs=0.01)
        mouth = helpers.MOUTH
        assert (pose[mouth], dyn[mouth]) == pytest.approx((source[mouth], driver[mouth]), abs=0.01)
    (people, first), (other, second) = gallery.shared
    assert people != other
    one, two = (helpers.parse(frames) for frames in (first, second))
    np.testing.assert_allclose(one[0], two[0], atol=0.01)  # one motion
    assert (one[1] != two[1]).any()  # on another face
    for name, column, commands in (("gaze_yaw", 7, (-30, -15, 0, 15, 30)),):
        (row,) = gallery.sweeps[name]
        shown = np.degrees(helpers.parse(np.stack(row))[0][:, column])
        np.testing.assert_allclose(shown, commands, atol=0.1)
