"""scripts/train_demo.py on a tiny model: all kinds of stages, slices, small copies."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.data_pipeline.made import make_group
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.face.model import parameter_table
from vasa_jax.params import load_safetensors

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_demo.py"
SIZE = 64


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    crop = ("face.dyn_crop=32",)
    make = lambda name, losses, *more, **rest: module.Stage(  # noqa: E731
        name, SIZE, 4, 8, 1e-3, losses, (*crop, *more), **rest
    )
    module.CONFIG = "debug"
    module.STAGES = {"cpu": (
        make("pose", module.POSE, plain=False, parts=("pose",)),
        make("reader", module.LABELS, reader=True),
        make("face", module.PIXELS, *module.FROZEN),
    )}  # fmt: skip
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    for number in range(6):
        part = "held" if number > 3 else "train"
        write_group(out / part / f"{number}.npz", make_group(number, size=SIZE))
    return out


def run(script, data, work, *words):
    return script.main([*map(str, ("--scale", "cpu", "--data", data, "--work", work)), *words])


@pytest.mark.slow
def test_a_machine_with_only_the_copy_goes_on(script, data, tmp_path, capsys):
    copy = tmp_path / "copy"
    assert run(script, data, tmp_path / "a", "--copy", str(copy), "--until", "reader") == 0
    assert json.loads((copy / "state.json").read_text())["extra"]["stage"] == "reader"
    assert max(f.stat().st_size for f in copy.iterdir()) <= 16 * 2**20
    pose = load_safetensors(tmp_path / "a" / "pose" / "ema.safetensors")
    assert all(name.startswith("face/pose/") for name in pose)
    both = load_safetensors(tmp_path / "a" / "reader" / "ema.safetensors")
    assert {name.split("/")[0] for name in both} == {"face", "arkit", "gaze"}
    for name, value in pose.items():  # the reader hands on what it did not train
        np.testing.assert_array_equal(both[name], value)

    shutil.rmtree(tmp_path / "a")
    capsys.readouterr()
    assert run(script, data, tmp_path / "b", "--copy", str(copy)) == 0
    told = capsys.readouterr().out
    assert "is at step 4 already" in told
    assert "stage face: 64 px" in told
    assert "all stages are done" in told
    end = load_safetensors(tmp_path / "b" / "face" / "ema.safetensors")
    total = sum(v.size for k, v in end.items() if k.startswith("face/"))
    assert total == parameter_table(get_config("debug", ["face.dyn_crop=32"]).face)["total"]
    for name, value in pose.items():  # frozen, through a copy of 16 bits of mantissa
        np.testing.assert_allclose(end[name], value, rtol=2.0**-15, atol=1e-7)
    figures = json.loads((tmp_path / "b" / "face" / "gate.jsonl").read_text())
    assert {"pose_deg", "arkit_r2", "dyn_only_psnr", "dyn_only_copy_psnr", "sensitivity"} <= set(
        figures
    )
