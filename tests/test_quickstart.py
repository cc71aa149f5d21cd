"""The notebook of examples/ runs: its code cells, one after another in one namespace."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.assets import PORTRAIT, hum, write_wav
from vasa_jax.bundle import save_bundle

NOTEBOOK = Path(__file__).parent.parent / "examples" / "quickstart.ipynb"
NAMES = '"demo", "portrait.jpg", "speech.flac"'


def code_cells():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert 6 <= len(cells) <= 10
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(cells):
    space: dict = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), space)
    return space


def check(space, size, folder):
    assert space["clip"].frames.shape[1:] == (size, size, 3)
    assert (folder / "quickstart.mp4").is_file()
    assert [len(one) for one in space["clips"]] == [len(space["clip"])] * 2
    images = np.asarray(space["images"])
    assert images.shape == (5, size, size, 3)  # every third of 13 frames
    assert 0 <= images.min() < images.max() <= 1
    assert isinstance(space["show"](space["clip"].frames, 2), Image.Image)


def test_it_runs_with_a_small_model(debug_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_bundle(tmp_path / "model", debug_bundle._replace(trained=True))
    shutil.copy(PORTRAIT, "portrait.jpg")
    write_wav(tmp_path / "speech.wav", hum(0.6))
    cells = code_cells()
    assert cells[0].count(NAMES) == 1
    cells[0] = cells[0].replace(NAMES, '"model", "portrait.jpg", "speech.wav"')
    check(run(cells), 64, tmp_path)


@pytest.mark.slow
def test_it_runs_as_it_stands(tmp_path, monkeypatch):
    for name in ("portrait.jpg", "speech.flac"):
        shutil.copy(NOTEBOOK.with_name(name), tmp_path)
    monkeypatch.chdir(tmp_path)
    check(run(code_cells()), 256, tmp_path)
