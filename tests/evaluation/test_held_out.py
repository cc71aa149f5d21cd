"""Held-out records from datasets and files."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.data_pipeline.helpers import make_clip
from tests.evaluation.helpers import write_held_out
from vasa_jax.data_pipeline.datasets.write import write_dataset, write_swaps
from vasa_jax.data_pipeline.phonemes import INDEX
from vasa_jax.errors import UserError
from vasa_jax.evaluation import held_out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips and swaps as files: three people, one of them twice."""
    place = tmp_path_factory.mktemp("data")
    write_held_out(place)
    return place


@pytest.fixture(scope="module")
def dataset(folder, tmp_path_factory):
    """The same as TFDS datasets, the first half for training, the second for the test."""
    place = tmp_path_factory.mktemp("tfds")
    for kind, write in (("clips", write_dataset), ("swaps", write_swaps)):
        files = sorted((folder / kind).rglob("*.npz"))
        half = len(files) // 2
        splits = {"train": files[:half], "test": files[half:]}
        name = ("synthetic_heads",) if kind == "clips" else ()
        write(place, *name, splits, "made up")
    return place


def test_people_take_turns():
    assert held_out.choose(("a", "a", "b", "a", "c", "b"), 9) == [0, 2, 4, 1, 5, 3]
    assert held_out.choose(("a", "a", "b", "a", "c", "b"), 2) == [0, 2]
    assert held_out.choose((), 2) == []


def test_files_are_found_and_read(folder):
    found = held_out.find_records(folder, "clips", None)
    assert found.people == ("anna", "anna", "ben", "cleo")
    truth = make_clip(2, "ben", frames=25)
    clip = held_out.to_eval_clip(found.read(2))
    assert (clip.identity, clip.num_frames) == ("ben", 25)
    np.testing.assert_array_equal(clip.rotation, truth.rotation)
    np.testing.assert_array_equal(clip.log_scale, truth.log_scale[:, 0])
    np.testing.assert_array_equal(np.round(clip.waveform * 32768), truth.audio)
    pictures = clip.decode_frames([0, 24])
    assert pictures.shape == (2, 32, 32, 3)
    stored = np.asarray(Image.open(io.BytesIO(truth.frames[24])))
    assert np.abs(pictures[1].astype(int) - stored).max() <= 2  # two JPEG decoders
    assert clip.phonemes[0] == ""
    assert INDEX[clip.phonemes[5]] == 4
    groups = list(held_out.read_swaps(held_out.find_records(folder, "swaps", None), 5))
    assert [g.images.shape for g in groups] == [(2, 3, 2, 32, 32, 3)] * 2
    assert groups[1].identities == ("head1-0", "head1-1")


def test_the_held_out_split_of_a_dataset_is_read(dataset):
    found = held_out.find_records(dataset, "clips", None)
    assert found.people == ("ben", "cleo")
    assert held_out.to_eval_clip(found.read(0)).identity == "ben"
    assert held_out.find_records(dataset, "clips", "train").people == ("anna", "anna")
    swaps = held_out.find_records(dataset, "swaps", None)
    assert next(held_out.read_swaps(swaps, 1)).identities == ("head1-0", "head1-1")
    with pytest.raises(UserError, match="no split 'dev'"):
        held_out.find_records(dataset, "clips", "dev")


def test_wrong_folders_are_named(folder, tmp_path):
    assert held_out.find_records(tmp_path, "clips", None) is None
    with pytest.raises(UserError, match="no such folder"):
        held_out.find_records(tmp_path / "none", "clips", None)
    with pytest.raises(UserError, match="leave --split out"):
        held_out.find_records(folder, "clips", "test")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "bad.npz").write_bytes(b"no")
    with pytest.raises(UserError, match=r"bad\.npz"):
        held_out.find_records(tmp_path, "clips", None)
    files = {"train": sorted((folder / "clips").rglob("*.npz"))}
    write_dataset(tmp_path / "own", "synthetic_heads", files, "made up")
    with pytest.raises(UserError, match="no held-out records"):
        held_out.find_records(tmp_path / "own", "clips", None)
