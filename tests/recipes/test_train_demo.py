"""The demo's training on a tiny model: all kinds of stages, and the bundle."""

import json
from dataclasses import replace

import numpy as np
import pytest

from recipes.demo import config as recipe
from recipes.demo import train
from recipes.demo.data import tracks
from tests.data_pipeline.helpers import make_group
from tests.data_pipeline.synthetic.helpers import chatter
from tests.recipes.data.test_tracks import STANCE
from vasa_jax.bundle import load_bundle
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.data_pipeline.synthetic.performance import perform
from vasa_jax.data_pipeline.synthetic.plan import ClipJob, Plan
from vasa_jax.extensions.arkit_code import SCALE
from vasa_jax.extensions.build import parameter_table
from vasa_jax.params import flatten, load_safetensors

SIZE = 64
PLAN = Plan(seed=3, identities=4, minutes=1, seconds=3.0, any_faces=True)


def _base():
    """The debug config with a z_dyn that holds the ARKit code, read off crops."""
    config = get_config("debug")
    extensions = replace(config.face.extensions, dyn_crop=32)
    return replace(config, face=replace(config.face, dyn_dim=56, extensions=extensions))


BASE = _base()


@pytest.fixture(scope="module")
def tiny():
    """Stages of few steps on the debug config in place of the demo's."""
    numbers = (SIZE, 4, 8, 1e-3, BASE)
    parts = (
        recipe.pose_stage(*numbers),
        recipe.face_stage("reader", "dyn", recipe.DYN_LOSSES, *numbers),
        recipe.face_stage("face", "generator", recipe.GENERATOR_LOSSES, *numbers),
    )
    train = replace(recipe.DEMO.train_motion, steps=4, batch=8)
    speech = recipe.MotionStage(replace(BASE, train_motion=train), 4, 1.0, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "stages", lambda scale: parts)
        patch.setattr(recipe, "motion_stage", lambda scale: speech)
        yield


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


def run(data, work, *words):
    return train.main([*map(str, ("--scale", "cpu", "--data", data, "--work", work)), *words])


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_every_stage_hands_on_what_it_trained(data, tmp_path, capsys):
    assert run(data, tmp_path, "--until", "reader") == 0
    pose = load_safetensors(tmp_path / "pose" / "ema.safetensors")
    assert all(name.startswith("face/pose/") for name in pose)
    both = load_safetensors(tmp_path / "reader" / "ema.safetensors")
    assert {name.split("/")[0] for name in both} == {"face", "arkit", "gaze"}
    # Folded: the code is what was read, so the read-out is the plain scale.
    np.testing.assert_allclose(
        both["arkit/Dense_0/kernel"][:52], np.eye(52, dtype=np.float32) / SCALE
    )
    for name, value in pose.items():  # the reader hands on what it did not train
        np.testing.assert_array_equal(both[name], value)

    capsys.readouterr()
    assert run(data, tmp_path, "--skip", "motion") == 0
    told = capsys.readouterr().out
    assert "stage face: 64 px" in told
    assert "stage reader" not in told
    end = load_safetensors(tmp_path / "face" / "ema.safetensors")
    total = sum(v.size for k, v in end.items() if k.startswith("face/"))
    assert total == parameter_table(BASE.face)["total"]
    for name, value in pose.items():  # frozen
        np.testing.assert_array_equal(end[name], value)
    figures = json.loads((tmp_path / "face" / "gate.jsonl").read_text())
    assert {"dyn_only_psnr", "dyn_only_copy_psnr", "sensitivity"} <= set(figures)

    assert run(data, tmp_path) == 0
    bundle = load_bundle(tmp_path / "bundle", "debug")
    assert bundle.trained
    name = "face/decoder/head/kernel"
    np.testing.assert_allclose(flatten(bundle.params)[name], end[name], rtol=0.02, atol=1e-3)
