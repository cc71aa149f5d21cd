"""`capp_synthetic` as it ships: heads that the generator moves by speech that it has not heard."""

import numpy as np
import pytest

from tests.assets import SPEECH
from vasa_jax.bundle_places import shipped_folder
from vasa_jax.capp.score import load
from vasa_jax.data_pipeline.synthetic.headmotion import move_head
from vasa_jax.data_pipeline.synthetic.prosody import analyse, at_frames
from vasa_jax.media.audio import open_audio

FRAMES = 150


@pytest.fixture(scope="module")
def scorer():
    return load()


@pytest.fixture(scope="module")
def spoken():
    wave = np.asarray(open_audio(SPEECH).waveform)[: FRAMES * 640]
    path = move_head(np.random.default_rng(5), analyse(wave), None, np.array([0.1, -0.2, 0.05]))
    return at_frames(path.rotation, FRAMES).astype(np.float32), wave.astype(np.float32)


def test_it_is_small():
    sizes = [file.stat().st_size for file in shipped_folder("capp_synthetic").iterdir()]
    assert sum(sizes) < 4e6


def test_its_score_falls_with_a_shift(scorer, spoken):
    rotation, wave = spoken
    starts = np.arange(10, 61, 10)
    scores = {
        s: scorer.windows(rotation, wave, starts, s).mean() for s in (-10, -4, -2, 0, 2, 4, 10)
    }
    assert scores[0] > 0.4
    for sign in (-1, 1):
        assert scores[0] > scores[2 * sign] + 0.1 > scores[4 * sign] + 0.2
        assert scores[10 * sign] < scores[0] - 0.3


def test_its_score_falls_with_a_wrong_amplitude(scorer, spoken):
    rotation, wave = spoken
    right = scorer(rotation, wave)
    for factor in (0.2, 3.0):
        assert scorer(np.float32(factor) * rotation, wave) < right - 0.05


def test_another_sentence_and_time_reversed_motion_do_not_fit(scorer, spoken):
    rotation, wave = spoken
    right = scorer(rotation, wave)
    assert scorer(rotation[::-1].copy(), wave) < right - 0.3
    assert scorer(rotation, wave[::-1].copy()) < right - 0.3
