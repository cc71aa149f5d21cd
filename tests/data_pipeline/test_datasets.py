"""Clips and swaps to TFDS records and back, without TensorFlow."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests import needs
from tests.data_pipeline.helpers import make_clip, make_group
from vasa_jax.data_pipeline.clip import read_clip, write_clip
from vasa_jax.data_pipeline.datasets import builders, read, write
from vasa_jax.data_pipeline.datasets.read import find_dataset, open_dataset
from vasa_jax.data_pipeline.datasets.write import write_dataset, write_swaps
from vasa_jax.data_pipeline.swaps import SwapGroup, read_group, write_group
from vasa_jax.errors import UserError


def assert_same(a, b):
    for name in a._fields:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray | np.generic):
            np.testing.assert_array_equal(x, y, err_msg=name)
            assert np.asarray(x).dtype == np.asarray(y).dtype, name
            assert np.shape(x) == np.shape(y), name
        else:
            assert x == y, name


@pytest.fixture(scope="module")
def clip_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    files = {"train": [], "val": [], "test": []}
    for number in range(6):
        split = ("train", "train", "train", "train", "val", "test")[number]
        files[split].append(folder / f"{number}.npz")
        bare = number in (1, 3)
        write_clip(files[split][-1], make_clip(number, f"person{number}", labels=not bare))
    return files


def test_clips_come_back_as_they_went_in(clip_files, tmp_path):
    seen = []
    folder = write_dataset(tmp_path, "voxceleb2", clip_files, "A test.", advance=seen.append)
    assert folder == tmp_path / "voxceleb2" / "1.0.0"
    assert sum(seen) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["voxceleb2"]
    dataset = open_dataset(tmp_path)
    assert (dataset.name, dataset.kind, dataset.size) == ("voxceleb2", "clips", 32)
    for split, files in clip_files.items():
        index, records = dataset.splits[split], dataset.records(split)
        wanted = {clip.clip_id: clip for clip in map(read_clip, files)}
        assert len(records) == len(index.ids) == len(wanted)
        for number, name in enumerate(index.ids):
            assert_same(records[number], wanted[name])
            assert index.identity[number] == (wanted[name].identity,)
            assert index.frames[number] == len(wanted[name].frames)
    assert dataset.splits["train"].has["rotation"] == 2
    assert sorted(d is None for d in dataset.splits["train"].distance) == [False, False, True, True]


def test_a_dataset_is_read_by_tfds_alone(clip_files, tmp_path):
    import tensorflow_datasets as tfds

    folder = write_dataset(tmp_path, "video_folder", clip_files, "Of a test.")
    builder = tfds.builder_from_directory(folder)
    assert "Of a test." in builder.info.description
    assert builder.info.redistribution_info.license
    example = next(iter(builder.as_data_source("val")))
    frame = cv2.imdecode(np.frombuffer(example["frames"][0], np.uint8), cv2.IMREAD_COLOR)
    assert frame.shape == (32, 32, 3)
    assert example["audio"].dtype == np.int16
    assert len(example["audio"]) == 640 * len(example["frames"])


def test_no_tensorflow_is_loaded_or_needed(clip_files, tmp_path):
    code = """
import sys
from pathlib import Path
from vasa_jax.data_pipeline.datasets.write import write_dataset
from vasa_jax.data_pipeline.datasets.read import open_dataset
write_dataset(Path(sys.argv[1]), "video_folder", {"train": [Path(p) for p in sys.argv[2:]]})
assert "tensorflow" not in sys.modules
print(len(open_dataset(Path(sys.argv[1])).records("train")))
"""
    names = [str(p) for p in clip_files["train"]]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *names], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 4


def test_the_same_files_are_not_written_twice_and_other_files_replace_them(clip_files, tmp_path):
    folder = write_dataset(tmp_path, "video_folder", clip_files)
    inode = os.stat(folder).st_ino
    assert write_dataset(tmp_path, "video_folder", clip_files) == folder
    assert os.stat(folder).st_ino == inode
    write_dataset(tmp_path, "video_folder", {"train": clip_files["train"][:2]})
    dataset = open_dataset(tmp_path)
    assert list(dataset.splits) == ["train"]
    assert len(dataset.records("train")) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["video_folder"]


def test_a_failed_write_leaves_the_old_dataset_and_nothing_else(clip_files, tmp_path, monkeypatch):
    write_dataset(tmp_path, "video_folder", {"train": clip_files["train"][:2]})
    killed = tmp_path / ".video_folder.clips.partial-999999999"
    killed.mkdir()

    def fail(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builders, "read_clip", fail)
    with pytest.raises(UserError, match="No space left"):
        write_dataset(tmp_path, "video_folder", clip_files)
    assert [p.name for p in tmp_path.iterdir()] == ["video_folder"]
    assert len(open_dataset(tmp_path).records("train")) == 2


def test_shards_hold_about_so_many_bytes_and_keep_the_order(clip_files, tmp_path, monkeypatch):
    files = clip_files["train"]
    size = max(f.stat().st_size for f in files)
    shards = builders.split_shards(files, 2 * size)
    assert [f for shard in shards for f in shard] == files
    assert all(sum(f.stat().st_size for f in shard) <= 2 * size for shard in shards)
    assert len(builders.split_shards(files, 1)) == len(files)
    monkeypatch.setattr(builders, "SHARD_BYTES", 1)
    folder = write_dataset(tmp_path, "video_folder", clip_files)
    assert len(list(folder.glob("*train*array_record*"))) == len(files)
    records = open_dataset(tmp_path).records("train")
    assert {records[i].clip_id for i in range(4)} == {read_clip(f).clip_id for f in files}


@pytest.mark.parametrize(
    "mistake", ["builder", "split", "empty", "twice", "size", "person", "broken", "missing"]
)
def test_mistakes_are_named(mistake, clip_files, tmp_path):
    name, clips, file = "video_folder", {"train": list(clip_files["train"])}, tmp_path / "bad.npz"
    if mistake == "builder":
        name = "voxceleb3"
    elif mistake == "split":
        clips = {"training": clips["train"]}
    elif mistake == "empty":
        clips = {"train": []}
    elif mistake == "twice":
        clips["train"].append(clips["train"][0])
    elif mistake == "size":
        write_clip(file, make_clip(9, "person9", size=48))
        clips["train"].append(file)
    elif mistake == "person":
        write_clip(file, make_clip(9, "person0"))
        clips["val"] = [file]
    elif mistake == "broken":
        file.write_bytes(b"PK no")
        clips["train"].append(file)
    else:
        clips["train"].append(tmp_path / "none.npz")
    said = {
        "builder": "voxceleb3",
        "split": "training",
        "empty": "no clip",
        "twice": "named",
        "size": "48 px",
        "person": "person0",
        "broken": "bad.npz",
        "missing": "none.npz",
    }
    with pytest.raises(UserError, match=said[mistake]):
        write_dataset(tmp_path / "out", name, clips)
    assert find_dataset(tmp_path) is None


def test_swaps_come_back_as_they_went_in(tmp_path):
    groups = [make_group(0), make_group(1, labels=False)]
    for group in groups:
        write_group(tmp_path / f"{group.group_id}.npz", group)
        assert_same(read_group(tmp_path / f"{group.group_id}.npz"), group)
    folder = write_swaps(tmp_path / "out", groups)
    assert folder == tmp_path / "out" / "synthetic_heads" / "swaps" / "1.0.0"
    dataset = open_dataset(tmp_path / "out", "swaps")
    records = dataset.records("train")
    for number, name in enumerate(dataset.splits["train"].ids):
        assert_same(records[number], next(g for g in groups if g.group_id == name))
    files = {"train": [tmp_path / "group0.npz"], "val": [tmp_path / "group1.npz"]}
    write_swaps(tmp_path / "out", files)
    assert set(open_dataset(tmp_path / "out", "swaps").splits) == {"train", "val"}


@pytest.mark.parametrize("field", ["images", "identity", "rotation", "gaze", "masks", "points"])
def test_a_group_that_does_not_fit_is_refused(field, tmp_path):
    group = make_group(0)
    value = getattr(group, field)
    bad = group._replace(**{field: value[:-1]})
    with pytest.raises(ValueError, match="group0"):
        write_group(tmp_path / "a.npz", bad)
    assert not (tmp_path / "a.npz").exists()


def test_clips_and_swaps_share_a_folder(clip_files, tmp_path):
    write_dataset(tmp_path, "synthetic_heads", clip_files)
    write_swaps(tmp_path, [make_group(0)])
    assert open_dataset(tmp_path).folder.parts[-2] == "clips"
    assert open_dataset(tmp_path, "swaps").folder.parts[-2] == "swaps"
    assert isinstance(open_dataset(tmp_path, "swaps").records("train")[0], SwapGroup)


def test_folders_without_a_dataset_are_refused(clip_files, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(tmp_path / "none")
    with pytest.raises(UserError, match="no dataset of clips"):
        open_dataset(tmp_path)
    folder = write_dataset(tmp_path, "video_folder", clip_files)
    with pytest.raises(UserError, match="no dataset of swaps"):
        open_dataset(tmp_path, "swaps")
    write_dataset(tmp_path, "voxceleb2", clip_files)
    with pytest.raises(UserError, match="2 datasets"):
        open_dataset(tmp_path)
    assert open_dataset(folder).name == "video_folder"
    table = json.loads((folder / "metadata.json").read_text())
    del table["splits"]["train"]["frames"]
    (folder / "metadata.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match="not a readable dataset"):
        open_dataset(folder)
    assert read.INFO_NAME in {p.name for p in folder.iterdir()}
    assert folder.name == write.VERSION
    assert set(write.BUILDERS) == set(builders.NAMES)


def test_beam_writes_the_same_shards(clip_files, tmp_path, monkeypatch):
    beam = needs.require_module("apache_beam", "beam")
    monkeypatch.setattr(builders, "SHARD_BYTES", 1)
    runner = beam.runners.DirectRunner()
    here = write_dataset(tmp_path / "a", "video_folder", clip_files)
    there = write_dataset(tmp_path / "b", "video_folder", clip_files, beam_runner=runner)
    shards = sorted(path.name for path in here.glob("*array_record*"))
    assert len(shards) == 6
    for name in shards:
        assert (here / name).read_bytes() == (there / name).read_bytes()
    assert len(open_dataset(tmp_path / "b").records("train")) == 4
