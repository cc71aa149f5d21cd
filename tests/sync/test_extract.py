"""The lips of a dataset are read off its pictures once, and again where a clip has changed."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests import needs
from tests.assets import PORTRAIT
from tests.data_pipeline.loading.helpers import dataset_of
from vasa_jax.data_pipeline.clip import Clip
from vasa_jax.data_pipeline.loading.image_codec import encode_jpeg
from vasa_jax.errors import UserError
from vasa_jax.sync import extract
from vasa_jax.sync.clips import read_lip_clip
from vasa_jax.sync.extract import extract_lips
from vasa_jax.sync.lips import align_lips

SIZE, FRAMES = 256, 4


def _clip(portrait, name, shift):
    pictures = [np.roll(portrait, (shift, i), (0, 1)) for i in range(FRAMES)]
    audio = np.random.default_rng(shift).integers(-999, 999, FRAMES * 640).astype(np.int16)
    return Clip(name, "someone", SIZE, [encode_jpeg(p, 95) for p in pictures], audio)


@needs.weights("face-landmarker")
def test_lips_of_a_dataset(tmp_path, monkeypatch):
    needs.require_module("tensorflow_datasets", "data")
    picture = cv2.imread(str(PORTRAIT))[..., ::-1]
    portrait = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    clips = [_clip(portrait, "a", 0), _clip(portrait, "b", 3)]
    data, out = dataset_of(clips, tmp_path / "data"), tmp_path / "lips"
    assert extract_lips(data, out) == out
    found = [read_lip_clip(out / "train" / f"{name}.npz") for name in "ab"]
    points = extract.track_frames(np.roll(portrait, i, 1) for i in range(FRAMES))
    assert np.isfinite(points).all()
    assert_allclose(found[0].lips, align_lips(points), atol=0.15)  # JPEG lies between; centimetres
    assert_allclose(found[1].wave, clips[1].audio / np.float32(32768), atol=1e-6)
    assert_allclose(found[0].lips[0], found[1].lips[0], atol=0.3)  # moved, not changed

    def refuse(frames):
        raise AssertionError("read again")

    monkeypatch.setattr(extract, "track_frames", refuse)
    extract_lips(data, out)
    monkeypatch.undo()
    other = dataset_of([_clip(portrait, "a", 1)], tmp_path / "other")
    before = (out / "train" / "a.npz").read_bytes()
    extract_lips(other, out)
    assert (out / "train" / "a.npz").read_bytes() != before


def test_frames_without_a_face_are_nan():
    needs.require_weights("face-landmarker")
    assert np.isnan(extract.track_frames([np.zeros((64, 64, 3), np.uint8)] * 2)).all()


def test_no_dataset_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="holds no dataset of clips"):
        extract_lips(tmp_path, tmp_path / "lips")
