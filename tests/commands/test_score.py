"""`vasa-jax score` on a video of the portrait, and its errors."""

import json
import sys

import cv2
import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests import needs
from tests.assets import PORTRAIT, SPEECH
from vasa_jax import cli
from vasa_jax.media.video import VideoWriter
from vasa_jax.score.report import SCHEMA


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """ours/anna.mp4 and real/anna.mp4: the portrait that sways, and the same a bit darker."""
    needs.require_module("matplotlib", "data")
    needs.require_weights("face-landmarker", "face-expression")
    folder = tmp_path_factory.mktemp("videos")
    photo = cv2.resize(np.asarray(Image.open(PORTRAIT).convert("RGB")), (256, 256))
    turns = 8 * np.sin(np.arange(30) / 5)
    frames = np.stack(
        [
            cv2.warpAffine(photo, cv2.getRotationMatrix2D((128, 128), turn, 1.0), (256, 256))
            for turn in turns
        ]
    )
    for name, shown in (("ours", frames), ("real", (0.9 * frames).astype(np.uint8))):
        path = folder / name / "anna.mp4"
        with VideoWriter(path, 256, 256, audio_from=SPEECH, seconds=1.2) as video:
            video.write(shown)
    (folder / "ours" / "broken.mp4").write_bytes(b"no video")
    return folder


def test_score(videos, tmp_path, capsys, monkeypatch):
    module = tmp_path / "own_metric.py"
    module.write_text(
        "class Brightness:\n"
        "    unit, best = 'levels', 'high'\n"
        "    def __call__(self, track, real):\n"
        "        return track.stills.mean()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    place = tmp_path / "report"
    words = [
        *("score", str(videos / "ours"), "--reference", str(videos / "real"), "-o", str(place)),
        *("--metric", "brightness=own_metric:Brightness", "--cache", str(tmp_path / "cache")),
        *("--stills", "2", "--log-json"),
    ]
    assert cli.main(words) == 2  # one of the videos is broken
    out, err = capsys.readouterr()
    assert "'" in err
    assert "broken.mp4" in err
    events = [json.loads(line) for line in out.splitlines()]
    assert events[-1]["videos"] == 2
    assert events[-1]["failed"] == 1
    content = json.loads((place / "report.json").read_text())
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))
    figures = {v["system"]: v["figures"] for v in content["videos"] if v["figures"]}
    ours, real = figures["ours"], figures["real"]
    assert ours["brightness"] > real["brightness"] > 20
    assert ours["delta_pose_geodesic"] == pytest.approx(8 / 5 * 2 / np.pi, rel=0.25)
    assert ours["roll_spread"] == pytest.approx(8 / np.sqrt(2), rel=0.2)
    assert ours["pose_error"] < 1
    assert 15 < ours["psnr"] < 40
    assert ours["ssim"] > 0.8
    text = (place / "report.md").read_text()
    assert str(tmp_path) not in text
    assert str(videos) not in text
    sys.modules.pop("own_metric", None)


def wrong(capsys, *words):
    assert cli.main(["score", *map(str, words)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_mistakes_are_one_line(tmp_path, capsys):
    needs.require_module("matplotlib", "data")
    out = ["-o", tmp_path / "out"]
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_bytes(b"x")
    v = tmp_path / "v"
    assert "nothing to measure" in wrong(capsys, *out)
    assert "no such folder" in wrong(capsys, tmp_path / "none", *out)
    assert "NAME=DIR" in wrong(capsys, v, "--system", "x", *out)
    assert "two systems 'v'" in wrong(capsys, v, "--system", f"v={v}", *out)
    assert "--reference" in wrong(capsys, v, "--fvd", *out)
    assert "NAME=module:attribute" in wrong(capsys, v, "--metric", "x", *out)
    assert "cannot be imported" in wrong(capsys, v, "--metric", "x=no_such:Y", *out)
    assert "would overwrite" in wrong(capsys, v, "-o", v)
    assert "at least 1" in wrong(capsys, v, "--stills", "0", *out)
    assert not (tmp_path / "out").exists()
