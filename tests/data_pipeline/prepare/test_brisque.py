"""BRISQUE against the package `brisque` 0.2.0, run with numpy 2.3 on the same pictures."""

import cv2
import numpy as np
import pytest
import skimage.data

from tests import needs
from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare import brisque as module
from vasa_jax.data_pipeline.prepare.brisque import brisque, features, load_svr
from vasa_jax.data_pipeline.prepare.quality import frame_quality, worst_tenth
from vasa_jax.errors import UserError

# What the package printed for scikit-image's astronaut, 512 x 512, and its crop of 256 x 256.
ASTRONAUT = [
    1.44119,
    0.19841,
    0.57536,
    0.0106,
    0.05024,
    0.05868,
    0.56829,
    0.01392,
    0.05119,
    0.06257,
    0.57989,
    -0.0222,
    0.06467,
    0.0469,
    0.58977,
    -0.02711,
    0.06544,
    0.04412,
    1.58278,
    0.23192,
    0.57804,
    -0.00026,
    0.08076,
    0.08051,
    0.57939,
    0.01271,
    0.07982,
    0.0925,
    0.59048,
    -0.02243,
    0.08926,
    0.06808,
    0.60023,
    -0.0398,
    0.09776,
    0.06052,
]
SCORES = {"whole": 10.79486, "blurred": 64.27066, "crop": -15.22606}


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def svr():
    needs.require_weights("brisque")
    return load_svr(zoo.cached_path("brisque"))


def test_features_are_the_packages(astronaut):
    np.testing.assert_allclose(features(astronaut), ASTRONAUT, atol=2e-5)


def test_scores_are_the_packages(astronaut, svr):
    pictures = {
        "whole": astronaut,
        "blurred": cv2.GaussianBlur(astronaut, (0, 0), 2),
        "crop": np.ascontiguousarray(astronaut[:256, 96:352]),
    }
    for name, picture in pictures.items():
        assert brisque(picture, svr) == pytest.approx(SCORES[name], abs=2e-3), name


def _damaged(picture):
    rng = np.random.default_rng(0)
    noise = picture + rng.normal(0, 25, picture.shape)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 8])
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return {
        "blur": cv2.GaussianBlur(picture, (0, 0), 2.5),
        "noise": noise.clip(0, 255).astype(np.uint8),
        "jpeg": cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        "enlarged": cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC),
    }


def test_damage_lowers_the_quality(astronaut, svr):
    crop = np.ascontiguousarray(astronaut[:256, 96:352])
    sharp = frame_quality(crop[None], svr=svr)[0]
    for name, picture in _damaged(crop).items():
        assert frame_quality(picture[None], svr=svr)[0] < sharp - 20, name


def test_a_flat_picture_is_bad_and_finite(svr):
    assert np.isfinite(brisque(np.full((64, 64, 3), 128, np.uint8), svr))


def test_clips_are_as_good_as_their_worst_tenth():
    values = np.arange(40, dtype=np.float32)
    assert worst_tenth(np.random.default_rng(0).permutation(values)) == 1.5
    assert worst_tenth(np.float32([7.0])) == 7.0


def test_every_fifth_frame_is_scored(svr):
    frames = np.full((11, 32, 32, 3), 90, np.uint8)
    assert len(frame_quality(frames, 5, svr)) == 3


@pytest.mark.parametrize("text", ["", "svm_type c_svc\nkernel_type rbf\nSV\n1 1:0\n"])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "svm.txt").write_text(text)
    if zoo.is_cached("brisque"):
        ranges = zoo.cached_path("brisque").parent / "normalize.pickle"
        (tmp_path / "normalize.pickle").write_bytes(ranges.read_bytes())
    with pytest.raises(UserError, match="not the model of BRISQUE"):
        module.load_svr(tmp_path / "svm.txt")
