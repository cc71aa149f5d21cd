"""A clip comes back from its file as it went in, and a wrong one is refused."""

import numpy as np
import pytest

from vasa_jax.data_pipeline.clip import Clip, check_clip, read_clip, write_clip
from vasa_jax.errors import UserError


def make_clip(count=3):
    rng = np.random.default_rng(0)
    return Clip(
        "a/b",
        "a",
        8,
        [bytes([k] * (k + 1)) for k in range(count)],
        rng.integers(-9, 9, count * 640).astype(np.int16),
        rotation=rng.normal(size=(count, 3)).astype(np.float32),
        distance=np.float32(1.5),
        landmarks=rng.integers(0, 9, (count, 7, 2)).astype(np.int16),
    )


def test_clip_survives_its_file(tmp_path):
    clip = make_clip()
    write_clip(tmp_path / "clip.npz", clip)
    again = read_clip(tmp_path / "clip.npz")
    for name, value in clip._asdict().items():
        if isinstance(value, np.ndarray | np.generic):
            np.testing.assert_array_equal(getattr(again, name), value)
        else:
            assert getattr(again, name) == value
    assert [p.name for p in tmp_path.iterdir()] == ["clip.npz"]


@pytest.mark.parametrize(
    "change",
    [
        {"audio": np.zeros(5, np.int16)},
        {"rotation": np.zeros((2, 3), np.float32)},
        {"rotation": np.full((3, 3), np.nan, np.float32)},
        {"frames": []},
        {"landmarks": np.zeros((3, 7, 2), np.int32)},
    ],
)
def test_wrong_arrays_are_refused(change):
    with pytest.raises(ValueError, match="a/b"):
        check_clip(make_clip()._replace(**change))


def test_broken_file_is_named(tmp_path):
    path = tmp_path / "broken.npz"
    write_clip(path, make_clip())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"broken\.npz"):
        read_clip(path)
