"""The walk over a record finds what TFDS finds."""

import numpy as np
import pytest

from tests.data_pipeline.helpers import make_clip
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.datasets.read import open_dataset
from vasa_jax.data_pipeline.datasets.write import write_dataset
from vasa_jax.data_pipeline.loading.example_proto import byte_lists
from vasa_jax.data_pipeline.loading.pairs import FRAME_LABELS, read_record


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("wire")
    files = [out / f"{n}.npz" for n in range(3)]
    for number, file in enumerate(files):
        # 200 frames: lengths of one, two and three bytes of varint.
        write_clip(file, make_clip(number, f"p{number}", 200, 32, labels=number != 1))
    write_dataset(out, "video_folder", {"train": files})
    return open_dataset(out)


def test_a_record_reads_as_tfds_reads_it(dataset):
    source, records = dataset.source("train"), dataset.records("train")
    for number in range(3):
        found, clip = read_record(source[number]), records[number]
        assert [bytes(f) for f in found["frames"]] == clip.frames
        assert [bytes(f) for f in found["masks"]] == (clip.masks or [])
        for name in FRAME_LABELS:
            value = getattr(clip, name)
            if value is None:
                assert len(found[name]) == 0
            else:
                np.testing.assert_array_equal(found[name], value)
                assert found[name].shape == value.shape


def test_numbers_and_strangers_are_left_out(dataset):
    record = dataset.source("train")[0]
    found = byte_lists(record, ("size", "clip_id", "nothing"))
    assert set(found) == {"clip_id"}
    assert bytes(found["clip_id"][0]).decode() == dataset.splits["train"].ids[0]
    assert isinstance(found["clip_id"][0].obj, bytes)  # a view, not a copy


def test_a_cut_record_is_an_error(dataset):
    record = dataset.source("train")[0]
    for length in (1, 3, 1000, len(record) // 2, len(record) - 1):
        with pytest.raises(ValueError, match=r"a record|no frames"):
            read_record(record[:length])
    with pytest.raises(ValueError, match="no frames"):
        read_record(b"")
    with pytest.raises(ValueError, match="unknown kind"):
        byte_lists(b"\x0f", ("frames",))
