"""`vasa-jax train capp` and `export`, as a user runs them, and the table of behaviours."""

import json

import pytest

from tests.capp.helpers import write_clips
from vasa_jax import cli
from vasa_jax.capp.behaviour import SCALES, SHIFTS, main
from vasa_jax.capp.score import load


def _run(*arguments):
    return cli.main([str(a) for a in arguments])


def test_from_clips_to_a_score(tmp_path, capsys):
    write_clips(tmp_path / "data", 4)
    write_clips(tmp_path / "data", 2, 130, split="test")
    train = ("train", "capp", "--config", "capp_debug", "--data", tmp_path / "data")
    train += ("--set", "mesh.data=1", "--workdir")
    assert _run(*train, tmp_path / "run", "--steps", 2) == 0
    assert _run(*train, tmp_path / "run", "--steps", 3) == 0
    assert "resumed from step 2" in capsys.readouterr().err
    assert _run("export", tmp_path / "run", "-o", tmp_path / "capp") == 0
    assert "CAPP 'capp_debug', step 3" in capsys.readouterr().err
    assert load(tmp_path / "capp").step == 3
    figures = tmp_path / "behaviour.json"
    assert main([str(tmp_path / "data"), "--capp", str(tmp_path / "capp"), "-o", str(figures)]) == 0
    out = capsys.readouterr().out
    assert "| +0 |" in out
    assert "| x 0.2 |" in out
    found = json.loads(figures.read_text())
    assert found["clips"] == 2
    # The same windows, whether nothing is moved or nothing is scaled.
    assert found["shifts"]["0"] == pytest.approx(found["scales"]["1.0"])
    assert len(found["shifts"]) == len(SHIFTS)
    assert len(found["scales"]) == len(SCALES)


def test_a_run_of_capp_is_exported_by_itself(tmp_path, capsys):
    write_clips(tmp_path / "data", 2)
    run = tmp_path / "run"
    train = ("train", "capp", "--config", "capp_debug", "--data", tmp_path / "data")
    train += ("--set", "mesh.data=1")
    assert _run(*train, "--workdir", run, "--steps", 1, "-q") == 0
    for more, says in (
        (("--set", "capp.width=8"), "by itself"),
        (("--base", tmp_path), "by itself"),
        (("--motion", run), "by itself"),
        (("--int8",), "--bf16"),
    ):
        assert _run("export", run, "-o", tmp_path / "out", *more) == 2
        assert says in capsys.readouterr().err
    assert _run("export", run, run, "-o", tmp_path / "out") == 2
    assert "by itself" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert _run(*train, "--set", "capp.width=32", "--workdir", run, "-q") == 2
    assert "was trained with capp.width=16, this run asks for 32" in capsys.readouterr().err
