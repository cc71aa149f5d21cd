"""The loader under the training loop: a run that stops and goes on is a run that never stopped."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.data_pipeline.helpers import make_clip, make_group
from tests.training.toys import ToyBatch, toy_task
from vasa_jax import cli
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.datasets.write import write_dataset
from vasa_jax.data_pipeline.loading.loaders import FaceLoader
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.errors import UserError
from vasa_jax.training.loop import train

CONFIG = get_config("debug")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset")
    files = [out / f"{n}.npz" for n in range(9)]
    for number, file in enumerate(files):
        write_clip(file, make_clip(number, f"p{number}", 6, CONFIG.face.image_size))
    write_dataset(out, "video_folder", {"train": files})
    return out


def _task(loader):
    """The toy network learns the source's mean colour from the driver's view, on eight devices."""
    task = toy_task({"batch": 8, "save_every": 2})

    def step(layout, state, frozen, batch, key):
        small = batch.driver.motion_view[:, ::4, ::4]
        return task.step(
            layout, state, frozen, ToyBatch(small, batch.source.image.mean((1, 2))), key
        )

    return dataclasses.replace(task, step=step, batch=loader.struct, samples=lambda *_: {})


def _run(folder, workdir, steps, seed=0):
    loader = FaceLoader(folder, CONFIG, 8, seed, workers=0, draws=2, spread=1)
    try:
        return train(_task(loader), workdir, loader, steps=steps)
    finally:
        loader.close()


def test_a_run_that_stops_is_a_run_that_does_not(folder, tmp_path):
    straight = _run(folder, tmp_path / "a", 5)
    assert _run(folder, tmp_path / "b", 3).step == 3
    resumed = _run(folder, tmp_path / "b", 5)
    jax.tree.map(np.testing.assert_array_equal, resumed.state.params, straight.state.params)
    other = _run(folder, tmp_path / "c", 5, seed=1)
    same = jax.tree.map(np.array_equal, other.state.params, straight.state.params)
    assert not all(jax.tree.leaves(same))
    with pytest.raises(UserError, match="others than when the run was saved"):
        _run(folder, tmp_path / "b", 7, seed=1)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["face", "--config", "base256"], "64 px, config 'base256' wants 256 px or more"),
        (["face", "--config", "debug", "--swaps"], "holds no dataset of swaps"),
        (["motion", "--config", "debug"], "run `vasa-jax extract-motion"),
        (["motion", "--config", "debug", "--swaps"], "--swaps is for `train face"),
        (["face", "--config", "debug", "--workers", "-1"], "must not be negative"),
    ],
)
def test_mistakes_are_one_line(arguments, word, folder, tmp_path, capsys):
    end = ["--data", str(folder), "--workdir", str(tmp_path / "w")]
    assert cli.main(["train", *arguments, *end]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert word in error


def test_a_folder_of_something_else_is_one_line(tmp_path, capsys):
    (tmp_path / "video.mp4").write_bytes(b"x")
    end = ["--data", str(tmp_path), "--workdir", str(tmp_path / "w"), "--config", "debug"]
    assert cli.main(["train", "face", *end]) == 2
    assert "holds no dataset of clips and no .npz batches" in capsys.readouterr().err


def test_a_dataset_without_masks_loads_and_it_is_said(tmp_path, capsys, monkeypatch):
    """As datasets of before masks do: the losses see the whole picture, with a warning."""
    for number in range(3):
        clip = make_clip(number, f"p{number}", 4, CONFIG.face.image_size, masks=number == 0)
        write_clip(tmp_path / "clips" / f"{number}.npz", clip)
    write_dataset(tmp_path, "video_folder", {"train": sorted((tmp_path / "clips").iterdir())})
    seen = []

    def instead(config, stage, workdir, data, **_):
        seen.append(next(data))
        return SimpleNamespace(step=1, finished=True)

    monkeypatch.setattr("vasa_jax.training.run.run", instead)
    words = ["train", "face", "--config", "debug", "--data", str(tmp_path), "--workers", "0"]
    words += ["--workdir", str(tmp_path / "w")]
    assert cli.main(words) == 0
    assert "2 of 3 records have no masks" in capsys.readouterr().err
    assert seen[0].source.mask is None
    assert cli.main([*words, "--set", "face_losses.masked=false"]) == 0
    assert "have no masks" not in capsys.readouterr().err


def test_a_folder_of_group_files_serves_swaps(tmp_path, capsys, monkeypatch):
    seen = []

    def instead(config, stage, workdir, data, **_):
        seen.append(next(data))
        return SimpleNamespace(step=1, finished=True)

    monkeypatch.setattr("vasa_jax.training.run.run", instead)
    words = ["train", "face", "--config", "debug", "--data", str(tmp_path / "groups")]
    words += ["--workdir", str(tmp_path / "w"), "--quiet"]
    write_group(tmp_path / "groups" / "0.npz", make_group(0, size=64, places=32))
    assert cli.main([*words, "--swaps"]) == 0
    assert seen[0].targets.pose_only.shape == seen[0].source.image.shape
    (tmp_path / "groups" / "0.npz").unlink()
    assert cli.main([*words, "--swaps"]) == 2
    assert "holds no groups of swaps" in capsys.readouterr().err
