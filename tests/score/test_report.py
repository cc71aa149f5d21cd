"""Table and report: intervals over people, counts of what is missing, a schema, whole or not."""

import json

import cv2
import jsonschema
import numpy as np
import pytest

from vasa_jax.errors import UserError
from vasa_jax.score.cache import Entry
from vasa_jax.score.metrics import METRICS
from vasa_jax.score.pairing import Video
from vasa_jax.score.report import SCHEMA, write_report
from vasa_jax.score.run import Result
from vasa_jax.score.table import systems_of

HEADER = {"version": "0", "stills": 4}


def result(system, name, person, values, features=(), error=""):
    video = Video(system, name, None, person, name)
    reasons = {k: "no face is found" for m in METRICS for k in m.specs if k not in values}
    mouth = [0.1, None, 0.2]
    picture = np.full((256, 1024, 3), 90, np.uint8)
    entry = Entry(values, reasons, 50, 0.5, [list(map(float, f)) for f in features], mouth, picture)
    return Result(video, None if error else entry, error)


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    rows = []
    for n in range(6):
        person = f"p{n // 2}"
        noise = rng.normal(size=(2, 3))
        real = {"blinks": 10.0 + n, "lip_dynamics": 2.0, "theval_lip_sync": 0.25}
        rows.append(result("real", f"c{n}", person, real, noise))
        ours = {"blinks": 20.0 + n, "lip_dynamics": 1.0, "psnr": 30.0}
        ours = ours if n else {"blinks": 20.0}
        rows.append(result("ours", f"c{n}", person, ours, noise + 3))
    rows.append(result("rival", "c0", "p0", {}, error="c0 cannot be decoded"))
    return rows


def test_a_row_a_system(results):
    ours, rival, real = systems_of(results, METRICS)
    assert [row.name for row in (ours, rival, real)] == ["ours", "rival", "real"]
    assert (ours.videos, ours.people, ours.unreadable, ours.face_found) == (6, 3, 0, 0.5)
    blinks = ours.figures["blinks"]
    assert (blinks.count, blinks.missing, blinks.groups) == (6, 0, 3)
    assert blinks.mean == 22.5
    assert blinks.low < 22.5 < blinks.high
    assert blinks.low >= 20.5  # the least person's mean: people are drawn, not videos
    psnr = ours.figures["psnr"]
    assert (psnr.count, psnr.missing, psnr.mean) == (5, 1, 30.0)
    assert ours.reasons["psnr"] == {"no face is found": 1}
    assert ours.theval == {"lip_dynamics": 0.5}
    assert (rival.unreadable, rival.figures["blinks"].count) == (1, 0)
    assert rival.reasons["blinks"] == {"cannot be read": 1}
    assert "psnr" not in real.figures  # nothing to be compared with
    assert (ours.frechet.ours, ours.frechet.real) == (12, 12)
    assert ours.frechet.by_divisor["n"] == pytest.approx(27)  # shifted by 3 on three axes
    assert (real.frechet.ours, real.frechet.real) == (8, 4)  # two people against one
    assert rival.frechet is None


def test_report(results, tmp_path):
    place = tmp_path / "report"
    write_report(place, results, METRICS, HEADER, sheets=2)
    content = json.loads((place / "report.json").read_text())
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))
    assert content["metrics"].keys() == {k for m in METRICS for k in m.specs}
    failed = next(v for v in content["videos"] if v["system"] == "rival")
    assert failed["error"] == "c0 cannot be decoded"
    text = (place / "report.md").read_text()
    assert "| ours | 22.50 [" in text
    assert "(5 of 6)" in text
    assert "| real videos (what the instruments say of the truth) |" in text
    assert "| VASA-1 | 8.841 | 6.312 | 0.468 | 0.304 | — |" in text
    assert "What can be compared with these rows" in text
    assert {"sheet_1.png", "mouth_1.png", "sheet_2.png"} <= content["sheets"].keys()
    for name in content["sheets"]:
        assert f"({name})" in text
        assert cv2.imread(str(place / name)) is not None


def test_the_schema_refuses_other_contents(results, tmp_path):
    content = write_report(tmp_path / "r", results, METRICS, HEADER, sheets=0)
    schema = json.loads(SCHEMA.read_text())
    content = json.loads(json.dumps(content))
    del content["systems"][0]["figures"]["blinks"]["missing"]
    with pytest.raises(jsonschema.ValidationError, match="missing"):
        jsonschema.validate(content, schema)


def test_a_failed_report_leaves_the_old_one(results, tmp_path, monkeypatch):
    place = tmp_path / "report"
    write_report(place, results, METRICS, HEADER)
    before = (place / "report.md").read_text()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vasa_jax.score.report.markdown", full_disk)
    with pytest.raises(UserError, match="No space left"):
        write_report(place, results, METRICS, HEADER)
    assert (place / "report.md").read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report"]
    (place / "mine.txt").write_text("x")
    with pytest.raises(UserError, match=r"holds other files \(mine.txt\)"):
        write_report(place, results, METRICS, HEADER)
