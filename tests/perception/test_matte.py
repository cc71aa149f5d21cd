"""Masks of people, against MediaPipe's own run of the network."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import needs
from tests.assets import PORTRAIT
from vasa_jax.errors import UserError
from vasa_jax.perception.matte import person_matte

GOLDEN = Path(__file__).parent / "golden" / "portrait_mediapipe_selfie.png"
"""What mediapipe 0.10.14's `solutions.selfie_segmentation` (model 0) makes of the portrait at 256 x
256 pixels (cv2.INTER_AREA), times 255."""

needs_weights = needs.weights("selfie-segmentation")


@pytest.fixture(scope="module")
def portrait():
    return cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)


@needs_weights
def test_mattes_are_mediapipes(portrait):
    small = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    found = person_matte(small)
    assert found.shape == (256, 256)
    assert 0 <= found.min() < 0.01 < 0.99 < found.max() <= 1
    off = np.abs(found - cv2.imread(str(GOLDEN), cv2.IMREAD_GRAYSCALE) / 255)
    # JPEG decoders round differently; one and the same picture gave 4e-5 at most.
    assert off.mean() < 1e-3
    assert np.percentile(off, 99) < 0.02


@needs_weights
def test_the_matte_has_the_pictures_own_size(portrait):
    wide = np.ascontiguousarray(portrait[:384])
    small = cv2.resize(wide, (256, 192), interpolation=cv2.INTER_AREA)
    one, two = person_matte(wide), person_matte(small)
    assert one.shape == (384, 512)
    shrunk = cv2.resize(one, (256, 192), interpolation=cv2.INTER_AREA)
    assert ((shrunk > 0.5) == (two > 0.5)).mean() > 0.97
    # A mirrored person is masked in mirror image.
    mirrored = person_matte(np.ascontiguousarray(wide[:, ::-1]))[:, ::-1]
    assert ((mirrored > 0.5) == (one > 0.5)).mean() > 0.97


def test_a_file_that_is_no_network_is_named(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not the selfie segmentation network") as caught:
        person_matte(np.zeros((64, 64, 3), np.uint8), tmp_path / "x.tflite")
    assert "\n" not in str(caught.value)
