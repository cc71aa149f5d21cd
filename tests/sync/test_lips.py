"""Lips in the head's axes: pose and size leave nothing behind, the mouth's motion all."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from tests import needs
from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare.labels.canonical import read_canonical_face
from vasa_jax.sync import lips
from vasa_jax.sync.lips import POINTS, align_lips, fill_gaps, mirrored, without_mean


def _faces(frames=6):
    """A face whose rigid points are the mean head's, and whose lips move, in head axes."""
    rng = np.random.default_rng(0)
    face = rng.normal(0, 5, (478, 3))
    face[list(lips._RIGID)] = np.array(list(lips._RIGID.values()))[:, :3]
    points = np.repeat(face[None], frames, 0)
    points[:, list(POINTS)] += rng.normal(0, 0.5, (frames, len(POINTS), 3))
    return points


def test_pose_and_size_leave_nothing():
    face = _faces()
    turns = Rotation.random(len(face), rng=np.random.default_rng(1)).as_matrix()
    seen = 7.5 * np.einsum("tij,tpj->tpi", turns, face) + [[[120, 300, -40]]]
    assert_allclose(align_lips(seen.astype(np.float32)), face[:, list(POINTS)], atol=1e-4)


def test_frames_without_a_face_stay_so_and_are_drawn_through():
    face = _faces()
    face[2:4] = np.nan
    found = align_lips(face)
    assert np.isnan(found[2:4]).all()
    filled = fill_gaps(found)
    assert_allclose(filled[2], found[1] * 2 / 3 + found[4] / 3, atol=1e-6)
    assert_allclose(fill_gaps(found[2:]), np.stack([found[4], found[4], found[4], found[5]]))
    assert not fill_gaps(found[2:4]).any()


def test_the_mirrored_face_has_the_mirrored_lips():
    """The points are pairs: the mirror image of a symmetric mean head is itself."""
    face = _faces(1)[0]
    other = face * (-1, 1, 1)
    swap = {r: left for r, left in zip(lips._RIGHT, lips._LEFT, strict=True)}
    swap |= {left: r for r, left in swap.items()}
    points = other.copy()
    for a, b in swap.items():
        points[a] = other[b]
    found = mirrored(align_lips(face[None]))
    assert_allclose(found, points[None][:, list(POINTS)], atol=1e-5)


@needs.weights("face-landmarker")
def test_the_constants_are_mediapipes():
    face = read_canonical_face(zoo.ensure("face-landmarker")).vertices
    assert_allclose([v[:3] for v in lips._RIGID.values()], face[list(lips._RIGID)], atol=6e-4)
    flip = face * (-1, 1, 1)
    pairs = zip(lips._RIGHT, lips._LEFT, strict=True)
    for right, left in pairs:
        assert_allclose(face[right], flip[left], atol=0.01)
        assert face[right, 0] < 0
    assert_allclose(face[list(lips._MIDDLE), 0], 0, atol=0.01)


def test_the_mean_is_that_of_the_frames_around():
    values = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
    found = without_mean(values, 11)
    assert_allclose(found[20], values[20] - values[15:26].mean(0), atol=1e-5)
    assert_allclose(found[1], values[1] - values[:7].mean(0), atol=1e-5)
    assert_allclose(without_mean(values), values - values.mean(0), atol=1e-5)


@pytest.mark.parametrize("frames", [0, 1])
def test_hardly_any_frames(frames):
    points = _faces(max(frames, 1))[:frames]
    assert align_lips(points).shape == (frames, len(POINTS), 3)
    assert without_mean(np.zeros((frames, 2), np.float32)).shape == (frames, 2)
