"""The test's features are the held-out clips' own, and a folder of something else is refused."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from recipes.sync import features, tracks
from tests.sync.helpers import write_clips
from vasa_jax.errors import UserError
from vasa_jax.sync.clips import read_lip_clip


def test_features_of_the_test_split(tmp_path, monkeypatch):
    write_clips(tmp_path, 2, frames=110, split="test")
    out = tmp_path / "features.npz"
    monkeypatch.setattr(sys, "argv", ["features", str(tmp_path), "-o", str(out)])
    assert features.main() == 0
    with np.load(out) as stored:
        lips = stored["lips"] * stored["lips_scale"]
        assert stored["sounds"].shape == (2, 75, 160)
        assert stored["sounds"].std() > 5
    wanted = read_lip_clip(tmp_path / "test" / "clip0.npz").lips[25:100].reshape(75, -1)
    wanted = (wanted - wanted.mean(0)).clip(-1.27, 1.27)
    assert_allclose(lips[0], wanted, atol=0.006)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no motion tracks"):
        tracks.make(tmp_path, tmp_path / "out")
