"""What the base install lacks: it is named in one line with the extra that brings it, and the rest
works without it."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.assets import PORTRAIT, hum, write_wav
from tests.training.toys import toy_task
from vasa_jax import cli
from vasa_jax.errors import EXTRAS
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.loop import train
from vasa_jax.training.progress import Quiet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {"ott_jax": "ott"}
"""Modules of distributions that are called otherwise."""
WITHOUT = """
import sys
from vasa_jax.errors import EXTRAS
for name in [*EXTRAS, "transformers"]:
    sys.modules[name] = None  # importing it now raises ModuleNotFoundError
from vasa_jax.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _run_base(*words) -> subprocess.CompletedProcess:
    """A command in a process that has the base install alone."""
    arguments = [sys.executable, "-c", WITHOUT, *map(str, words)]
    return subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)


def _requirements(extra: str) -> set[str]:
    """Modules of an extra's distributions."""
    lines = PROJECT["optional-dependencies"][extra]
    names = {re.match(r"[A-Za-z0-9_.-]+", line)[0].replace("-", "_") for line in lines}
    return {DISTRIBUTIONS.get(name, name) for name in names} - {"vasa_jax"}


def test_every_module_is_in_its_extra():
    for module, extra in EXTRAS.items():
        assert module in _requirements(extra), module
    for extra in ("beam", "data", "hub", "phonemes", "score", "train"):
        assert _requirements(extra) <= EXTRAS.keys()


def test_the_base_install_has_none_of_them():
    names = {re.match(r"[A-Za-z0-9_.-]+", x)[0].replace("-", "_") for x in PROJECT["dependencies"]}
    assert not names & EXTRAS.keys()


@pytest.fixture
def dataset(tmp_path):
    """A folder that looks like a dataset of `prepare` from outside."""
    place = tmp_path / "dataset" / "video_folder" / "1.0.0"
    place.mkdir(parents=True)
    (place / "dataset_info.json").write_text("{}")
    (place / "metadata.json").write_text(json.dumps({"kind": "clips"}))
    return tmp_path / "dataset"


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        ("prepare {dataset} -o {out}", "data"),
        ("prepare {dataset} -o {out} --beam=", "beam,data"),
        ("synth -o {out} --identities 1 --minutes 1", "data"),
        ("train face --config debug --workdir {out} --data {dataset}", "data,train"),
        ("extract-motion {dataset} -o {out} --config debug", "data"),
        ("evaluate --data {dataset} -o {out} --config debug", "data"),
        ("generate -s {portrait} -a {sound} -o {out}.mp4 --checkpoint hf://a/b", "hub"),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(words, extras, dataset, tmp_path):
    sound, out = write_wav(tmp_path / "a.wav", hum(0.5)), tmp_path / "out"
    places = {"dataset": dataset, "out": out, "portrait": PORTRAIT, "sound": sound}
    done = _run_base(*(word.format(**places) for word in words.split()))
    assert done.returncode == 2, done.stderr
    (line,) = [x for x in done.stderr.splitlines() if "error" in x]
    assert line.endswith(f'pip install "vasa-jax[{extras}]"')
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("module", "code", "words"),
    [("moderngl", 2, "error: needs moderngl"), ("nothing", 1, "nothing")],
)
def test_a_module_that_is_run_by_name_names_the_extra_too(module, code, words):
    """As `python -m vasa_jax.data_pipeline.synthetic.calibration`; other modules are our fault."""
    hide = f"import sys; sys.modules[{module!r}] = None; from vasa_jax.signals import exit_with; "
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}exit_with(lambda: __import__({module!r}))"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == code
    assert words in done.stderr
    assert ("Traceback" in done.stderr) == (code == 1)


@pytest.fixture
def base_install(monkeypatch):
    """This process, without what the base install lacks."""
    for name in (*EXTRAS, "transformers"):
        monkeypatch.setitem(sys.modules, name, None)


def test_only_these_files_of_the_library_import_what_an_extra_brings():
    """All else of `vasa_jax` runs on the base install; `data_pipeline` is what `data` is for."""
    found = {
        path.relative_to(ROOT / "vasa_jax").as_posix()
        for path in (ROOT / "vasa_jax").rglob("*.py")
        for line in path.read_text().splitlines()
        if (words := re.match(r"\s*(?:import|from) (\w+)", line)) and words[1] in EXTRAS
    }
    assert found == {
        "audio/silero.py",
        "bundle_places.py",
        "evaluation/contact_sheets.py",
        "inference/hub.py",
        "score/metrics/soft_dtw.py",
        "score/sheets.py",
        "training/logs.py",
    }


@pytest.mark.slow
@pytest.mark.usefixtures("base_install")
def test_the_base_install_generates(tmp_path):
    sound, out = write_wav(tmp_path / "a.wav", hum(0.5)), tmp_path / "out.mp4"
    words = ("generate", "-s", PORTRAIT, "-a", sound, "-o", out, "--config", "debug")
    assert cli.main([str(word) for word in words]) == 0
    assert out.stat().st_size > 0


@pytest.mark.usefixtures("base_install")
def test_the_base_install_trains_on_any_iterator(tmp_path):
    task, notes = toy_task(), []
    progress = Quiet()
    progress.note = notes.append
    train(task, tmp_path, iter(FakeBatches(task.batch)), steps=3, progress=progress)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open()][-1] == 3
    assert not (tmp_path / "logs").exists()
    assert sum(text.endswith('pip install "vasa-jax[train]"') for text in notes) == 1
