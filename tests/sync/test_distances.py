"""SyncNet's score against a transcription of its own few lines in torch."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vasa_jax.sync.distances import mean_distances, score_of, sync_score

torch = pytest.importorskip("torch")


def published(lips, sounds, vshift):
    """`calc_pdist` and the lines after it of SyncNetInstance.py, in float64."""
    a, b = torch.from_numpy(lips), torch.from_numpy(sounds)
    width = 2 * vshift + 1
    padded = torch.nn.functional.pad(b, (0, 0, vshift, vshift))
    distances = [
        torch.nn.functional.pairwise_distance(a[[i], :].repeat(width, 1), padded[i : i + width, :])
        for i in range(len(a))
    ]
    mean = torch.mean(torch.stack(distances, 1), 1)
    least, index = torch.min(mean, 0)
    return (torch.median(mean) - least).item(), least.item(), vshift - index.item()


@pytest.mark.parametrize(("frames", "vshift"), [(60, 15), (9, 15), (1, 4), (40, 3)])
def test_the_score_is_the_published_one(frames, vshift):
    rng = np.random.default_rng(frames)
    lips = rng.normal(size=(frames, 32))
    sounds = np.roll(lips, 2, axis=0) + rng.normal(0, 0.3, (frames, 32))
    found, wanted = sync_score(lips, sounds, vshift), published(lips, sounds, vshift)
    assert_allclose(found[:2], wanted[:2], rtol=1e-12)
    assert found.offset == wanted[2]


def test_equal_vectors_are_the_eps_apart():
    """The published distance adds 1e-6 to each difference, so it never is zero."""
    same = np.ones((40, 100))
    assert_allclose(sync_score(same, same).distance, 1e-6 * 10)


def test_late_sound_has_a_negative_offset():
    rng = np.random.default_rng(0)
    track = rng.normal(size=(90, 16))
    lips, late = track[10:70], track[7:67]  # what is heard at i was seen at i - 3
    assert sync_score(lips, late).offset == -3
    assert sync_score(late, lips).offset == 3


def test_without_padding_only_pairs_count():
    rng = np.random.default_rng(1)
    lips, sounds = rng.normal(size=(2, 20, 8))
    found = mean_distances(lips, sounds, 4, padded=False)
    assert_allclose(found[0], np.linalg.norm(lips[4:] - sounds[:-4] + 1e-6, axis=1).mean())
    assert_allclose(found[8], np.linalg.norm(lips[:-4] - sounds[4:] + 1e-6, axis=1).mean())
    assert not score_of(mean_distances(lips[:3], sounds[:3], 4, padded=False)).measured


def test_nothing_is_not_measured():
    found = sync_score(np.zeros((0, 8)), np.zeros((0, 8)))
    assert not found.measured
    assert math.isnan(found.confidence)
    assert found.offset == 0


def test_long_clips_go_in_blocks(monkeypatch):
    rng = np.random.default_rng(2)
    lips, sounds = rng.normal(size=(2, 50, 4))
    whole = mean_distances(lips, sounds)
    monkeypatch.setattr("vasa_jax.sync.distances._BLOCK", 7)
    assert_allclose(mean_distances(lips, sounds), whole)
