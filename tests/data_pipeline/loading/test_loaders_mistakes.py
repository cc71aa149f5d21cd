"""What the loaders refuse, and what they say of broken data."""

import shutil

import cv2
import numpy as np
import pytest

from tests.data_pipeline.loading.helpers import CONFIG, SIZE, dataset_of
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.loading.loaders import (
    FaceLoader,
    SwapLoader,
    default_workers,
    is_dataset,
)
from vasa_jax.errors import UserError


def test_mistakes_are_named(folder, clips, swaps, tmp_path):
    with pytest.raises(UserError, match=r"64 px, config 'base256' wants 256 px or more; make"):
        FaceLoader(folder, get_config("base256"), 4, workers=0)
    with pytest.raises(UserError, match="no split 'val'; it has train"):
        FaceLoader(folder, CONFIG, 4, workers=0, split="val")
    with pytest.raises(UserError, match="cannot be shared by 3"):
        FaceLoader(folder, CONFIG, 4, workers=0, process_index=0, process_count=3)
    with pytest.raises(UserError, match="no dataset of clips"):
        FaceLoader(swaps, CONFIG, 4, workers=0)
    with pytest.raises(UserError, match="no dataset of swaps"):
        SwapLoader(folder, CONFIG, 4, workers=0)
    saved = FaceLoader(folder, CONFIG, 4, workers=0).state()
    for other in (
        FaceLoader(folder, CONFIG, 4, 1, workers=0),
        FaceLoader(folder, CONFIG, 2, workers=0),
    ):
        with pytest.raises(UserError, match="others than when the run was saved"):
            other.restore(saved)
    with pytest.raises(UserError, match="others than when the run was saved"):
        FaceLoader(folder, CONFIG, 4, workers=0).restore({"epoch": 0})
    assert is_dataset(folder)
    assert not is_dataset(tmp_path)
    assert not is_dataset(swaps)
    assert default_workers() >= 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_named(clips, workers, tmp_path):
    bad = clips[0]._replace(clip_id="bad/clip", frames=[b"\xff\xd8 no"] * len(clips[0].frames))
    loader = FaceLoader(dataset_of([bad], tmp_path), CONFIG, 2, workers=workers)
    try:
        with pytest.raises(UserError, match=r"record 'bad/clip': a picture is broken"):
            next(loader)
    finally:
        loader.close()


def test_a_shard_that_is_gone_is_named(folder, tmp_path):
    shutil.copytree(folder / "video_folder", tmp_path / "video_folder")
    for shard in tmp_path.rglob("*.array_record*"):
        shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(UserError, match=r"make (it|the dataset) anew"):
        next(FaceLoader(tmp_path, CONFIG, 4, workers=0))


def test_pictures_of_another_size_inside_are_named(clips, tmp_path):
    small = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    bad = clips[0]._replace(frames=[small] * len(clips[0].frames))
    with pytest.raises(UserError, match=f"not {SIZE} x {SIZE}"):
        next(FaceLoader(dataset_of([bad], tmp_path), CONFIG, 2, workers=0))
