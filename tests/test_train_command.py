"""Stage 2 as a user runs it: videos to motion, training that resumes, a bundle, a video."""

import json

import pytest

from tests.assets import PORTRAIT, hum, write_wav
from tests.inference.helpers import moving, write_video
from vasa_jax import cli
from vasa_jax.bundle import load_bundle


def _run(*arguments):
    return cli.main([str(a) for a in arguments])


@pytest.mark.slow
def test_from_videos_to_a_trained_bundle(tmp_path, capsys):
    tone = write_wav(tmp_path / "tone.wav", hum(2.0))
    write_video(tmp_path / "videos" / "id1" / "a.mp4", moving(50, 0.002), tone)
    clips, work, bundle = (tmp_path / name for name in ("clips", "work", "bundle"))
    assert _run("extract-motion", tmp_path / "videos", "-o", clips, "--config", "debug") == 0
    train = ("train", "motion", "--config", "debug", "--workdir", work, "--data", clips)
    assert _run(*train, "--steps", 2) == 0
    assert _run(*train, "--steps", 4) == 0
    assert "resumed from step 2" in capsys.readouterr().err
    steps = [json.loads(line)["step"] for line in (work / "metrics.jsonl").open()]
    assert steps[-1] == 4
    assert _run("export", "--motion", work, "-o", bundle, "--config", "debug") == 0
    assert load_bundle(bundle).config.name == "debug"
    video = tmp_path / "out.mp4"
    assert _run("generate", "-s", PORTRAIT, "-a", tone, "-o", video, "--checkpoint", bundle) == 0
    assert video.is_file()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "head", "--workdir", "w"], "invalid choice"),
        (["train", "face"], "--workdir"),
        (["train", "face", "--workdir", "w", "--steps", "0"], "at least 1"),
        (["train", "face", "--workdir", "w", "--config", "debg"], "did you mean 'debug'"),
        (["train", "motion", "--workdir", "w", "--config", "debug", "--data", "x"], "no such data"),
        (["train", "face", "--workdir", "w", "--vgg", "nowhere.safetensors"], "no such"),
        (["export", "-o", "x"], "nothing to export"),
        (["extract-motion", "nowhere", "-o", "x"], "nowhere"),
        (["train", "capp", "--workdir", "w", "--config", "demo"], "unknown config 'demo' of CAPP"),
        (["train", "capp", "--workdir", "w", "--data", "x"], "no such data folder"),
        (["train", "capp", "--workdir", "w", "--pose", "x"], "--pose is not for `train capp`"),
        (["train", "capp", "--workdir", "w", "--steps", "0"], "at least 1"),
        (["train", "capp", "--workdir", "w", "--set", "capp.widht=3"], "did you mean 'width'"),
    ],
)
def test_mistakes_are_one_line(arguments, word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert word in error
