"""Mouths: closed at p b m, open at aa, round at u, in time with the sound, and smooth."""

import numpy as np
import pytest

from tests.data_pipeline.synthetic.helpers import chatter, needs_kokoro, spans_from, talk
from vasa_jax.data_pipeline.phonemes import INDEX, PAUSE, PHONEMES
from vasa_jax.data_pipeline.synthetic.audio_to_mouth import mouth_from_audio
from vasa_jax.data_pipeline.synthetic.coarticulation import CLOSE, JAW, articulate, enforce
from vasa_jax.data_pipeline.synthetic.prosody import RATE, analyse, at_frames, smooth
from vasa_jax.data_pipeline.synthetic.speech import Kokoro, frame_labels
from vasa_jax.data_pipeline.synthetic.utterance import utter
from vasa_jax.data_pipeline.synthetic.visemes import (
    DOMINANCE,
    PLACE,
    SHAPES,
    VISEMES,
    poses,
    vector,
)


def mouth(clip):
    prosody = analyse(clip.waveform)
    made = articulate(clip.spans, prosody)
    return enforce(made.arkit, made), prosody


def test_tables_are_complete_and_in_range():
    assert set(VISEMES) == set(PHONEMES)
    assert set(DOMINANCE) == set(SHAPES)
    for shape in SHAPES.values():
        values = vector(shape)
        assert (values >= 0).all()
        assert (values <= 1).all()
    with pytest.raises(KeyError):
        vector({"mouthNothing": 1.0})


def test_diphthongs_are_two_shapes_and_h_is_the_vowel_after_it():
    spans = spans_from(["h", "aɪ"])
    held = poses(spans.phoneme, spans.start, spans.end)
    assert [p.name for p in held] == ["aa", "aa", "I"]
    assert held[1].end == pytest.approx(0.08 + 0.6 * 0.14)


@pytest.mark.parametrize("name", ["p", "b", "m"])
@pytest.mark.parametrize("shift", [0.0, 0.013, 0.027])
def test_lips_meet_between_open_vowels(name, shift):
    clip = talk([PAUSE, "ɑ", name, "ɑ", PAUSE], {0: 0.4 + shift, 2: 0.05})
    arkit, _ = mouth(clip)
    frames = at_frames(arkit, clip.frames)
    gap = frames[:, JAW] - frames[:, CLOSE]
    around = np.abs((np.arange(clip.frames) + 0.5) / 25 - clip.spans.start[2]) < 0.1
    # At least one frame fully shut and one more nearly so, whatever the phase of the frames.
    assert np.sort(gap[around])[0] < 1e-3
    assert np.sort(gap[around])[1] < 0.06
    assert frames[:, JAW].max() > 0.3
    pressed = frames[around, PLACE["mouthPressLeft"]]
    assert pressed.max() > 0.45


def test_vowels_have_their_shapes():
    clip = talk([PAUSE, "t", "ɑ", "t", "u", "t", "i", PAUSE], dict.fromkeys((2, 4, 6), 0.25))
    arkit, _ = mouth(clip)

    def at(k, name):
        middle = (clip.spans.start[k] + clip.spans.end[k]) / 2 - 0.04
        return arkit[int(middle * RATE), PLACE[name]]

    assert at(2, "jawOpen") > 0.4
    assert at(2, "jawOpen") > 2 * at(4, "jawOpen")
    assert at(4, "mouthPucker") > 0.55
    assert at(4, "mouthPucker") > 3 * at(6, "mouthPucker")
    assert at(6, "mouthStretchLeft") > 0.25
    assert at(6, "mouthStretchLeft") > 2 * at(4, "mouthStretchLeft")


def test_teeth_touch_and_sibilants_narrow_the_jaw():
    clip = talk([PAUSE, "ɑ", "f", "ɑ", "s", "ɑ", PAUSE])
    arkit, _ = mouth(clip)
    middle = ((clip.spans.start + clip.spans.end) / 2 * RATE).astype(int)
    assert arkit[middle[2], PLACE["mouthRollLower"]] > 0.35
    assert arkit[middle[4], JAW] < 0.2
    assert arkit[middle[3], JAW] > 0.25


def test_rounding_starts_before_and_ends_after_its_vowel():
    clip = talk([PAUSE, "t", "t", "t", "u", "t", "t", "t", PAUSE])
    pucker = mouth(clip)[0][:, PLACE["mouthPucker"]]
    before = int((clip.spans.start[4] - 0.1) * RATE)
    after = int((clip.spans.end[4] + 0.06) * RATE)
    assert pucker[before] > 0.25
    assert pucker[after] > 0.25


def test_the_mouth_is_ready_after_a_pause_and_rests_in_it():
    clip = talk([PAUSE, "ɑ", "t", PAUSE], {0: 1.0, 1: 0.3, 3: 1.0})
    jaw = mouth(clip)[0][:, JAW]
    start = int(clip.spans.start[1] * RATE)
    peak = jaw[start : start + 30].max()
    assert jaw[start - 25] < 0.05 * peak
    assert jaw[start] > 0.6 * peak
    assert jaw[-40:].max() < 0.03


def test_jaw_follows_loudness_in_time():
    clip = chatter(12, seed=3, vowels=("ɑ", "æ", "ɛ", "ʌ"))
    arkit, prosody = mouth(clip)
    level = smooth(10 ** (prosody.loudness / 20), 0.04)
    fits = [np.corrcoef(np.roll(arkit[:, JAW], s), level)[0, 1] for s in range(-30, 31)]
    assert max(fits) > 0.4
    assert 0 <= int(np.argmax(fits)) - 30 <= 8  # the mouth is ahead by up to two frames


def test_movement_is_smooth():
    arkit, _ = mouth(chatter(8, seed=1))
    frames = at_frames(arkit, int(len(arkit) / 4))
    assert (arkit >= 0).all()
    assert (arkit <= 1).all()
    assert np.abs(np.diff(arkit, axis=0)).max() < 0.12  # a step of 10 ms
    assert np.abs(np.diff(arkit, n=2, axis=0)).max() < 0.1
    assert frames.std(0)[JAW] > 0.05


def test_louder_vowels_open_further():
    clip = talk([PAUSE, "ɑ", "t", "ɑ", "t", "ɑ", PAUSE])
    at = [slice(int(a * 16_000), int(b * 16_000)) for a, b in zip(*clip.spans[1:3], strict=True)]
    wave = clip.waveform.copy()
    wave[at[1]] *= 0.25
    wave[at[5]] *= 2.0
    jaw = mouth(clip._replace(waveform=wave))[0][:, JAW]
    peaks = [jaw[int(s.start / 160) : int(s.stop / 160)].max() for s in at]
    assert peaks[1] < 0.85 * peaks[3] < 0.85 * 0.9 * peaks[5]


def test_sound_alone_moves_the_mouth_about_as_phonemes_do():
    clip = chatter(10, seed=5, vowels=("ɑ", "æ", "ɛ", "ʌ"))
    arkit, prosody = mouth(clip)
    heard = mouth_from_audio(clip.waveform, prosody)
    alone = enforce(heard.arkit, heard)
    assert np.corrcoef(arkit[:, JAW], alone[:, JAW])[0, 1] > 0.4
    assert (alone >= 0).all()
    assert (alone <= 1).all()
    silent = mouth_from_audio(np.zeros(16_000, np.float32), analyse(np.zeros(16_000, np.float32)))
    assert np.abs(silent.arkit).max() < 1e-6


def test_labels_and_mouth_agree_frame_by_frame():
    clip = chatter(20, seed=9)
    frames = at_frames(mouth(clip)[0], clip.frames)
    labels = frame_labels(clip.spans, clip.frames)
    gap = frames[:, JAW] - frames[:, CLOSE]
    shut = np.isin(labels, [INDEX[n] for n in "pbm"])
    assert shut.sum() > 20
    assert gap[shut].mean() < 0.05
    assert gap[labels == INDEX["ɑ"]].mean() > 0.25


@needs_kokoro
def test_the_jaw_is_in_time_with_real_speech():
    kokoro, fits = Kokoro(), []
    for number, voice in enumerate(("af_bella", "am_fenrir", "bf_emma")):
        arkit, prosody = mouth(utter(kokoro, (number,), voice, 100))
        level = smooth(10 ** (prosody.loudness / 20), 0.04)
        fits.append([np.corrcoef(np.roll(arkit[:, JAW], s), level)[0, 1] for s in range(-20, 21)])
    mean = np.mean(fits, 0)
    assert mean.max() > 0.5
    assert 0 <= int(mean.argmax()) - 20 <= 7
