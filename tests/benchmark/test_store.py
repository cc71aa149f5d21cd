"""The file of results: nothing else is overwritten."""

import shutil
import subprocess
from pathlib import Path

import pytest

import vasa_jax
from vasa_jax.benchmark.store import Store
from vasa_jax.errors import UserError

ROOT = Path(__file__).parents[2]
HERE, THERE = {"device": "here"}, {"device": "there"}


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99, "rows": []}', '{"format": 1}'])
def test_foreign_files_are_refused(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UserError, match="give another -o file"):
        Store(path, HERE)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written_is_found_out_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write results"):
        Store(tmp_path / "file" / "r.json", HERE)


def test_a_row_names_the_code_that_was_measured(tmp_path):
    store = Store(tmp_path / "r.json", HERE)
    store.add({"question": "q", "settings": {}, "seconds": 1.0})
    (row,) = Store(tmp_path / "r.json", HERE).rows
    assert row["version"] == vasa_jax.__version__
    if (ROOT / ".git").exists() and shutil.which("git"):
        head = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert row["commit"].removesuffix("+") == head.stdout.strip()
