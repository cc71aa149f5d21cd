"""No command replaces its inputs or files of somebody else, and names fit a disk."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vasa_jax import cli
from vasa_jax.bundle import save_bundle
from vasa_jax.data_pipeline.datasets.write import check_place as check_dataset_place
from vasa_jax.data_pipeline.prepare.place import SIGNATURE
from vasa_jax.data_pipeline.prepare.sources import CLIP_ENDING, find_sources
from vasa_jax.errors import UserError
from vasa_jax.media.places import check_kept, check_ours, short_name, short_path, tells_case
from vasa_jax.params import load_safetensors, save_safetensors
from vasa_jax.training.motion_clips import MotionClips


def _content(folder: Path) -> dict[str, bytes]:
    files = (f for f in sorted(folder.rglob("*")) if f.is_file())
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


def refused(capsys, folder: Path, *words) -> str:
    """Run a command that must change nothing in `folder`; its one line."""
    before = _content(folder)
    assert cli.main([*map(str, words)]) == 2
    assert _content(folder) == before
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return error


def test_a_folder_that_is_replaced_must_not_hold_an_input(tmp_path):
    inner = tmp_path / "out" / "data" / "a.npz"
    inner.parent.mkdir(parents=True)
    inner.touch()
    (tmp_path / "link").symlink_to(tmp_path / "out", target_is_directory=True)
    for output in (tmp_path / "out", tmp_path / "link", tmp_path / "out" / "data"):
        with pytest.raises(UserError, match="would overwrite the data"):
            check_kept(output, {"data": inner, "none": None}, whole_folder=True)
    check_kept(tmp_path / "out", {"data": inner})
    check_kept(tmp_path / "out" / "report", {"data": inner.parent}, whole_folder=True)


def test_what_is_not_ours_stays(tmp_path):
    file, empty, folder = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    file.write_text("mine")
    empty.touch()
    folder.mkdir()
    (folder / "x").touch()
    for place in (file, folder):
        for known in (lambda _: False, lambda _: 1 / 0):
            with pytest.raises(UserError, match="is there and is no list"):
                check_ours(place, "list", known)
        check_ours(place, "list", lambda _: True)
    for place in (empty, tmp_path / "none"):
        check_ours(place, "list", lambda _: False)


def test_names_are_cut_at_characters_and_stay_different():
    names = ["é" * 200 + end for end in "ab"]
    cut = [short_name(name, ".json") for name in names]
    assert len(set(cut)) == 2
    assert all(240 <= len(os.fsencode(name + ".json")) <= 255 for name in cut)
    assert short_name("x" * 250, ".json") == "x" * 250
    assert short_path("a/b/" + "x" * 300, ".npz").startswith("a/b/xxx")
    assert short_path("a/b.mp4", ".npz") == "a/b.mp4.npz"


def test_case_is_told_where_the_disk_tells_it(tmp_path, monkeypatch):
    assert tells_case(tmp_path / "not" / "there")
    monkeypatch.setattr("vasa_jax.media.places.file_key", lambda path: str(path).lower())
    assert not tells_case(tmp_path / "not" / "there")


def test_videos_of_long_names_get_clips_and_records_that_fit(tmp_path):
    long = "v" * 250
    for name in (f"{long}1.mp4", f"{long}2.mp4", "short.mp4"):
        (tmp_path / name).write_bytes(b"x")
    names = [source.name for source in find_sources(tmp_path).videos]
    assert len(set(names)) == 3
    assert "short" in names
    assert max(len(name + CLIP_ENDING.format(0)) for name in names) == 255


def test_export_replaces_bundles_alone(tmp_path, debug_bundle, capsys):
    base = tmp_path / "base"
    save_bundle(base, debug_bundle)
    words = ["export", "--config", "debug", "-q", "--base", base, "-o"]
    assert "would overwrite the base" in refused(capsys, tmp_path, *words, base)
    model = tmp_path / "wav2vec2"  # as Hugging Face names its files
    save_safetensors(model / "model.safetensors", {"a": np.ones(2, np.float32)}, {})
    (model / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    assert "is no bundle" in refused(capsys, tmp_path, *words, model)
    save_bundle(tmp_path / "noted", debug_bundle)
    (tmp_path / "noted" / "README.md").write_text("what I changed")
    assert "is no bundle" in refused(capsys, tmp_path, *words, tmp_path / "noted")
    save_bundle(base, debug_bundle._replace(trained=True))  # in the place of a bundle
    assert json.loads((base / "config.json").read_text())["trained"]
    assert sorted(os.listdir(tmp_path)) == ["base", "noted", "wav2vec2"]


def test_weights_are_not_converted_into_themselves(tmp_path, capsys):
    source = tmp_path / "vgg.safetensors"
    save_safetensors(source, {"a": np.ones(2, np.float32)}, {})
    (tmp_path / "link.safetensors").symlink_to(source)
    for output in (source, tmp_path / "link.safetensors"):
        words = ["weights", "convert", "vgg19", source, "-o", output]
        assert "would overwrite the weights" in refused(capsys, tmp_path, *words)


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_safetensors(path, {"a": np.ones(2, np.float32)}, {})

    def full_disk(arrays, name, metadata):
        Path(name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full_disk)
    with pytest.raises(UserError, match="No space left"):
        save_safetensors(path, {"a": np.zeros(2, np.float32)}, {})
    assert load_safetensors(path)["a"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_evaluate_does_not_write_over_its_data(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    words = ["evaluate", "--config", "debug", "--data"]
    for data in (tmp_path, tmp_path / "clips"):
        error = refused(capsys, tmp_path, *words, data, "-o", tmp_path)
        assert "would overwrite the data" in error


FOREIGN = {
    "README.md": "# My recordings",
    "report.json": json.dumps({"model": "x", "config": "demo", "videos": 3, "minutes": 1}),
    "report.jsonl": json.dumps({"a": 1}),
    "plots/pose.png": "a plot of mine",
    "video_folder/1.0.0/notes.txt": "mine",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_prepare_writes_over_nothing_that_it_did_not_write(name, tmp_path, capsys):
    """Found before a video is read; the videos' own folder is the usual place of such files."""
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(FOREIGN[name])
    error = refused(capsys, tmp_path, "prepare", tmp_path, "-o", tmp_path, "-q")
    assert "is there and is no" in error
    assert not (tmp_path / "clips").exists()


def test_a_prepared_folder_is_known_again(tmp_path):
    """Its own card and reports are replaced."""
    from vasa_jax.data_pipeline.prepare.place import check_place

    (tmp_path / "plots").mkdir()
    (tmp_path / "README.md").write_text(f"# video_folder\n\nTalking-head clips {SIGNATURE}.")
    (tmp_path / "report.json").write_text(json.dumps({"videos": {}, "clips": {}, "labellers": {}}))
    row = {"name": "a", "identity": "a", "outcome": "made"}
    (tmp_path / "report.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "plots" / "pose.png").write_bytes(b"of an earlier run")
    check_place(tmp_path)


def test_a_dataset_takes_the_place_of_a_dataset_alone(tmp_path):
    place = tmp_path / "synthetic_heads" / "clips" / "1.0.0"
    place.mkdir(parents=True)
    check_dataset_place(tmp_path, "synthetic_heads")
    (place / "metadata.json").write_text("{}")
    with pytest.raises(UserError, match="is no dataset"):
        check_dataset_place(tmp_path, "synthetic_heads")
    (place / "metadata.json").write_text(json.dumps({"key": "abc"}))
    check_dataset_place(tmp_path, "synthetic_heads")


def test_statistics_of_somebody_else_stay_in_a_folder_of_clips(tmp_path, debug_bundle):
    config = debug_bundle.config
    for name in "ab":
        motion = np.random.default_rng(0).normal(size=(30, config.face.motion_dim))
        wave = np.zeros(30 * 640, np.int16)
        np.savez(tmp_path / name, motion=motion.astype(np.float32), waveform=wave)
    (tmp_path / "stats.json").write_text('{"mean": "of my experiment"}')
    first = MotionClips(tmp_path, config, 2).stats
    assert (tmp_path / "stats.json").read_text() == '{"mean": "of my experiment"}'
    (tmp_path / "stats.json").unlink()
    np.testing.assert_array_equal(MotionClips(tmp_path, config, 2).stats.mean, first.mean)
    assert json.loads((tmp_path / "stats.json").read_text())["frames"] == [30, 30]
