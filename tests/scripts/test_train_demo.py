"""scripts/train_demo.py on a tiny model: all kinds of stages, slices, small copies."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data_pipeline.made import make_group
from tests.data_pipeline.synthetic.talk import chatter
from tests.data_pipeline.synthetic.test_tracks import STANCE
from vasa_jax.bundle import load_bundle
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.data_pipeline.synthetic import tracks
from vasa_jax.data_pipeline.synthetic.performance import perform
from vasa_jax.data_pipeline.synthetic.plan import ClipJob, Plan
from vasa_jax.face.label_code import SCALE
from vasa_jax.face.model import parameter_table
from vasa_jax.params import flatten, load_safetensors

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_demo.py"
SIZE = 64
SETTINGS = ("face.dyn_crop=32", "face.dyn_dim=56")
PLAN = Plan(seed=3, identities=4, minutes=1, seconds=3.0, any_faces=True)


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("train_demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stages, motion = module.demo_stages, module.demo_motion
    make = lambda name, losses, *more, **rest: stages.Stage(  # noqa: E731
        name, SIZE, 4, 8, 1e-3, losses, more, **rest
    )
    stages.CONFIG, stages.SETTINGS = "debug", SETTINGS
    stages.STAGES = {"cpu": (
        make("pose", stages.POSE, alone="pose", parts=("pose",)),
        make("reader", stages.LABELS, alone="dyn", parts=("dyn",)),
        make("face", stages.PIXELS, *stages.FROZEN, parts=stages.GENERATOR),
    )}  # fmt: skip
    motion.PLANS = {"cpu": motion.MotionPlan(4, 1.0, 2, 4, 8, 1e-3)}
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    for number in range(6):
        part = "held" if number > 3 else "train"
        write_group(out / part / f"{number}.npz", make_group(number, size=SIZE, places=32))
    for person, split in enumerate(("train", "train", "train", "test")):
        speech = chatter(3.2, seed=person)
        speech = speech._replace(waveform=speech.waveform[: 75 * 640])
        job, track = ClipJob(person, 0, split), perform((5, person), speech)
        clip = tracks.label(job, PLAN, STANCE, speech, track)
        tracks.write_track(tracks.place_of(out / "tracks", PLAN, job), clip)
    return out


def run(script, data, work, *words):
    return script.main([*map(str, ("--scale", "cpu", "--data", data, "--work", work)), *words])


@pytest.mark.slow
def test_a_machine_with_only_the_copy_goes_on(script, data, tmp_path, capsys):
    copy, config = tmp_path / "copy", get_config("debug", SETTINGS)
    words = ("--copy", str(copy))
    assert run(script, data, tmp_path / "a", *words, "--until", "reader") == 0
    assert json.loads((copy / "state.json").read_text())["extra"]["stage"] == "reader"
    assert max(f.stat().st_size for f in copy.iterdir()) <= 16 * 2**20
    pose = load_safetensors(tmp_path / "a" / "pose" / "ema.safetensors")
    assert all(name.startswith("face/pose/") for name in pose)
    both = load_safetensors(tmp_path / "a" / "reader" / "ema.safetensors")
    assert {name.split("/")[0] for name in both} == {"face", "arkit", "gaze"}
    # Folded: the code is what was read, so the read-out is the plain scale.
    np.testing.assert_allclose(
        both["arkit/Dense_0/kernel"][:52], np.eye(52, dtype=np.float32) / SCALE
    )
    for name, value in pose.items():  # the reader hands on what it did not train
        np.testing.assert_array_equal(both[name], value)

    shutil.rmtree(tmp_path / "a")
    capsys.readouterr()
    assert run(script, data, tmp_path / "b", *words, "--skip", "motion") == 0
    told = capsys.readouterr().out
    assert "is at step 4 already" in told
    assert "stage face: 64 px" in told
    end = load_safetensors(tmp_path / "b" / "face" / "ema.safetensors")
    total = sum(v.size for k, v in end.items() if k.startswith("face/"))
    assert total == parameter_table(config.face)["total"]
    for name, value in pose.items():  # frozen, through a copy of 16 bits of mantissa
        np.testing.assert_allclose(end[name], value, rtol=2.0**-15, atol=1e-7)
    figures = json.loads((tmp_path / "b" / "face" / "gate.jsonl").read_text())
    assert {"dyn_only_psnr", "dyn_only_copy_psnr", "sensitivity"} <= set(figures)

    assert run(script, data, tmp_path / "b", *words) == 0
    assert json.loads((copy / "state.json").read_text())["extra"]["stage"] == "motion"
    assert not (tmp_path / "b" / "pose").exists()  # the copy has it, in every later call too
    bundle = load_bundle(tmp_path / "b" / "bundle", "debug")
    assert bundle.trained
    name = "face/decoder/head/kernel"
    np.testing.assert_allclose(flatten(bundle.params)[name], end[name], rtol=2.0**-7)

    shutil.rmtree(tmp_path / "b")
    assert run(script, data, tmp_path / "c", *words) == 0
    again = load_bundle(tmp_path / "c" / "bundle", "debug")
    for name, value in flatten(bundle.params).items():
        np.testing.assert_allclose(flatten(again.params)[name], value, rtol=0.02, atol=1e-6)
