"""What ships finds offsets and reacts to faults, on held-out heads with unheard voices."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.sync.helpers import face_and_sound
from vasa_jax.errors import UserError
from vasa_jax.sync.av_sync import LEAST_FRAMES, AVSync, load
from vasa_jax.sync.distances import VSHIFT, score_of
from vasa_jax.sync.lips import POINTS
from vasa_jax.sync.weights import load_sync

FEATURES = Path(__file__).parent / "held_out_features.npz"
"""Lips and spectrograms of clips of 3 s of rendered test people, in bytes with a scale; made by
`recipes/sync/features.py`."""


@pytest.fixture(scope="module")
def net():
    return load()


@pytest.fixture(scope="module")
def clips():
    """[(lips (75, 147), sound (75, 160))]."""
    with np.load(FEATURES) as stored:
        scales = stored["lips_scale"], stored["sounds_scale"]
        lips, sounds = (stored[k].astype(np.float32) for k in ("lips", "sounds"))
    found = lips * scales[0], sounds * scales[1]
    assert found[0].shape[2] == 3 * len(POINTS)
    return list(zip(*found, strict=True))


def _curve(net, lips, sounds):
    return net.distances(*net.embed_features(lips, sounds))


def _late(sounds, frames):
    """The sound `frames` later; what it began with is repeated before."""
    return np.concatenate([sounds[:1].repeat(frames, 0), sounds[: len(sounds) - frames]])


def test_the_offset_is_found_to_a_frame(net, clips):
    assert [abs(score_of(_curve(net, *clip)).offset) <= 1 for clip in clips] == [True] * len(clips)


def test_late_sound_is_found_and_costs_more_and_more(net, clips):
    at_zero = []
    for shift in range(11):
        curves = [_curve(net, lips, _late(sounds, shift)) for lips, sounds in clips]
        found = [score_of(curve).offset for curve in curves]
        assert abs(np.median(found) + shift) <= 1, (shift, found)
        at_zero.append(np.mean([curve[VSHIFT] for curve in curves]))
    assert (np.diff(at_zero[:5]) > 0).all()
    assert min(at_zero[5:]) > at_zero[2]


def test_another_sentence_and_frozen_lips_score_lower(net, clips):
    own = [score_of(_curve(net, *clip)) for clip in clips]
    others = [
        score_of(_curve(net, lips, clips[(k + 1) % len(clips)][1]))
        for k, (lips, _) in enumerate(clips)
    ]
    rng = np.random.default_rng(0)
    frozen = [
        score_of(_curve(net, (lips[:1] + rng.normal(0, 0.02, lips.shape)).astype("f4"), sounds))
        for lips, sounds in clips
    ]
    confidence = [np.mean([score.confidence for score in kind]) for kind in (own, others, frozen)]
    assert confidence[0] > 2 * confidence[1]
    assert confidence[1] > confidence[2]
    distance = [np.mean([score.distance for score in kind]) for kind in (own, others, frozen)]
    assert distance[0] < min(distance[1:])


def test_what_cannot_be_measured(net):
    points, wave = face_and_sound(0, 60)
    assert net(points, wave).measured
    assert not net(points[: LEAST_FRAMES - 1], wave).measured
    assert not net(points, wave[: 640 * (LEAST_FRAMES - 1)]).measured
    assert not net(points, np.zeros_like(wave)).measured
    unseen = points.copy()
    unseen[:40] = np.nan
    found = net(unseen, wave)
    assert math.isnan(found.confidence)
    unseen = points.copy()
    unseen[5:9] = np.nan
    assert net(unseen, wave).measured
    assert net(points, np.random.default_rng(0).normal(0, 0.1, len(wave)).astype("f4")).measured


def test_long_clips_go_in_blocks(net, monkeypatch):
    rng = np.random.default_rng(1)
    lips = rng.normal(0, 0.2, (300, 3 * len(POINTS))).astype(np.float32)
    sounds = rng.normal(0, 1, (300, 160)).astype(np.float32)
    whole = net.embed_features(lips, sounds)
    monkeypatch.setattr("vasa_jax.sync.av_sync._BLOCK", 64)
    weights = load_sync()
    parts = AVSync(weights.config, weights.params).embed_features(lips, sounds)
    for a, b in zip(whole, parts, strict=True):
        assert_allclose(a, b, atol=2e-4)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no sync network"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"kind": "capp", "format": 1}')
    with pytest.raises(UserError, match="of another kind or format"):
        load(tmp_path)
