"""Statistics of blinks, gaze, head and emotion against the measured values they are made after."""

import numpy as np
import pytest
import scipy.ndimage

from tests.data_pipeline.synthetic.talk import chatter, talk
from vasa_jax.data_pipeline.synthetic.blinks import blink_curve, blink_times
from vasa_jax.data_pipeline.synthetic.coarticulation import CLOSE, JAW
from vasa_jax.data_pipeline.synthetic.emotion import FACES, draw_emotion, expression
from vasa_jax.data_pipeline.synthetic.gaze import (
    MAIN_RANGE,
    look,
    look_coefficients,
    main_direction,
)
from vasa_jax.data_pipeline.synthetic.headmotion import accents, move_head
from vasa_jax.data_pipeline.synthetic.performance import draw_style, perform
from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, analyse, at_frames, smooth
from vasa_jax.data_pipeline.synthetic.speech import SpeechClip
from vasa_jax.data_pipeline.synthetic.visemes import PLACE, vector
from vasa_jax.typing import ARKIT, EMOTIONS

MINUTES = 20


def speaking(minutes: float, level: float = 1.0) -> Prosody:
    """Someone who speaks without an end (or, at level 0, is silent)."""
    count = int(minutes * 60 * RATE)
    voice = 3 * np.sin(np.arange(count) * 2 * np.pi / 170)
    return Prosody(
        np.full(count, -20.0), np.full(count, level), level * voice, np.full(count, level)
    )


@pytest.mark.parametrize(("level", "expected"), [(1.0, 22.0), (0.0, 17.0)])
def test_blink_rate_and_gaps(level, expected):
    times = blink_times(np.random.default_rng(0), speaking(MINUTES, level))
    gaps = np.diff(times)
    assert len(times) / MINUTES == pytest.approx(expected, rel=0.12)
    assert gaps.min() >= 1.2 - 1e-9
    logs = np.log(gaps - 1.2 + 1e-3)
    assert np.mean((logs - logs.mean()) ** 3) / logs.std() ** 3 == pytest.approx(0, abs=0.5)


def test_every_blink_is_shut_in_a_frame_and_closes_faster_than_it_opens():
    times = np.array([1.0, 3.013, 5.027, 7.038])
    curve = blink_curve(times, 1000)
    frames = at_frames(curve, 250)
    for time in times:
        near = frames[int(time * 25) : int(time * 25) + 12]
        assert near.max() > 0.97
        assert (near > 0.05).sum() <= 9
    one = curve[100:160]
    peak = int(np.flatnonzero(one > 0.99).mean())
    assert (one[:peak] > 0.1).sum() < (one[peak:] > 0.1).sum()
    assert frames[100:120].max() == 0


def test_blinks_gather_at_pauses():
    clip = chatter(120, seed=2, silence=0.2)
    prosody = analyse(clip.waveform)
    talking = smooth(prosody.speaking, 0.4) > 0.25
    edges = np.flatnonzero(np.diff(talking.astype(int))) / RATE
    times = np.concatenate([blink_times(np.random.default_rng(s), prosody) for s in range(8)])
    near = (np.abs(times[:, None] - edges).min(1) < 0.15).mean()
    uniform = np.random.default_rng(0).uniform(0, 120, 4000)
    assert near > 1.3 * (np.abs(uniform[:, None] - edges).min(1) < 0.15).mean()


def test_gaze_stays_at_its_main_direction_most_of_the_time():
    main = np.radians([12.0, -5.0])
    path = look(np.random.default_rng(1), speaking(MINUTES), main)
    away = np.degrees(np.linalg.norm(path.direction - main, axis=1))
    assert (away < 3).mean() == pytest.approx(0.72, abs=0.05)
    assert np.degrees(np.abs(np.median(path.direction, 0) - main)).max() < 0.5
    assert away.max() < 14
    aversions = scipy.ndimage.median_filter(away, 61) > 2.9
    edges = np.flatnonzero(np.diff(aversions.astype(int)))
    assert np.median(np.diff(edges)[::2]) / RATE == pytest.approx(1.96, abs=0.3)
    assert np.median(np.diff(edges)[1::2]) / RATE == pytest.approx(4.75, abs=0.8)


def test_saccades_jump_within_frames():
    path = look(np.random.default_rng(2), speaking(5), np.zeros(2))
    frames = np.degrees(at_frames(path.direction, 5 * 60 * 25))
    step = np.linalg.norm(np.diff(frames, axis=0), axis=1)
    moving = step > 0.3
    edges = np.flatnonzero(np.diff(np.concatenate([[0], moving, [0]]).astype(int)))
    runs = np.diff(edges)[::2]
    assert np.mean(runs <= 3) > 0.95
    assert moving.mean() < 0.15  # eyes rest between saccades


def test_main_directions_cover_their_range():
    rng = np.random.default_rng(0)
    mains = np.array([main_direction(rng) for _ in range(2000)])
    assert (np.abs(mains) <= MAIN_RANGE + 1e-9).all()
    assert np.mean(np.all(mains == 0, 1)) == pytest.approx(0.4, abs=0.03)
    assert np.abs(mains).max(0) == pytest.approx(MAIN_RANGE, rel=0.1)


@pytest.mark.parametrize(
    ("gaze", "rotation", "names"),
    [
        ((0.3, 0.0), (0, 0, 0), {"eyeLookOutLeft", "eyeLookInRight"}),
        ((-0.3, 0.0), (0, 0, 0), {"eyeLookInLeft", "eyeLookOutRight"}),
        ((0.0, 0.2), (0, 0, 0), {"eyeLookUpLeft", "eyeLookUpRight"}),
        ((0.0, 0.0), (0, 0.3, 0), {"eyeLookOutLeft", "eyeLookInRight"}),  # head left, eyes stay
        ((0.0, 0.0), (-0.2, 0, 0), {"eyeLookDownLeft", "eyeLookDownRight"}),  # head up, eyes stay
        ((-0.3, 0.0), (0, 0.3, 0), set()),  # both to the picture's left
    ],
)
def test_lids_follow_the_eyes_in_the_head(gaze, rotation, names):
    out = look_coefficients(np.array([gaze]), np.array([rotation], float))[0]
    assert {ARKIT[i] for i in np.flatnonzero(out > 1e-6)} == names


def test_head_moves_with_speech_and_rests_in_silence():
    rng = np.random.default_rng(3)
    moving = move_head(rng, speaking(MINUTES), None, np.zeros(3)).rotation
    still = move_head(rng, speaking(MINUTES, 0.0), None, np.zeros(3)).rotation
    pitch, yaw, roll = np.degrees(moving.std(0))
    assert 2.2 < pitch < 4.5  # Busso: 3.3 in neutral speech
    assert 0.9 < yaw < 4.0
    assert 0.8 < roll < 2.3
    local = still.reshape(-1, 4 * RATE, 3)  # within 4 s, between changes of posture
    assert np.degrees(np.median((local - local.mean(1, keepdims=True)).std(1))) < 1.0
    assert np.degrees(still.std(0)).max() < 3.2


def test_head_follows_the_pitch_of_the_voice():
    found = []
    for seed in range(8):
        clip = chatter(20, seed=seed)
        prosody = analyse(clip.waveform)
        head = move_head(np.random.default_rng(seed), prosody, clip.spans, np.zeros(3))
        voice = np.stack([smooth(prosody.pitch, 0.1), smooth(prosody.speaking, 0.1)], 1)
        voice = np.column_stack([voice, np.ones(len(voice))])
        fit = voice @ np.linalg.lstsq(voice, head.rotation[:, 0], rcond=None)[0]
        found.append(np.corrcoef(fit, head.rotation[:, 0])[0, 1])
    assert 0.19 < np.mean(found) < 0.8  # between conversation (Haag) and acted speech (Busso)


def test_accents_are_stressed_vowels():
    clip = chatter(10, seed=4)
    times = accents(analyse(clip.waveform), clip.spans)
    middles = ((clip.spans.start + clip.spans.end) / 2)[clip.spans.stress == 2]
    assert len(times) > 3
    assert np.abs(times[:, None] - middles).min(1).max() < 0.02


def test_emotions_are_known_amounts():
    rng = np.random.default_rng(5)
    drawn = np.array([draw_emotion(rng) for _ in range(600)])
    np.testing.assert_allclose(drawn.sum(1), 1)
    assert (drawn >= 0).all()
    assert np.mean(drawn[:, EMOTIONS.index("neutral")] == 1) == pytest.approx(0.4, abs=0.06)
    assert (drawn.max(0) > 0.6).all()
    assert set(FACES) == set(EMOTIONS)
    assert all(vector(face)[JAW] == 0 for face in FACES.values())
    shares = np.zeros(8)
    shares[EMOTIONS.index("happiness")] = 0.5
    face = expression(shares, np.array([0.0, 1.0]))
    smile, squint = PLACE["mouthSmileLeft"], PLACE["eyeSquintLeft"]
    np.testing.assert_allclose(face[:, smile], [0.5 * 0.7, 0.5 * 0.7 * 0.4])
    np.testing.assert_allclose(face[:, squint], [0.5 * 0.4, 0.5 * 0.4 * 0.7])


def test_a_performance_repeats_and_obeys_the_rules():
    clip = talk(["sil", "m", "ɑ", "p", "ɑ", "b", "u", "m", "i", "sil"], {0: 1.0, 9: 1.0})
    style = draw_style(np.random.default_rng(0))
    shares = np.zeros(8)
    shares[EMOTIONS.index("surprise")] = shares[EMOTIONS.index("happiness")] = 0.5
    style = style._replace(emotion=shares)
    track = perform((1, 2), clip, style)
    again = perform((1, 2), clip, style)
    for one, two in zip(track, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(track.rotation, perform((1, 3), clip, style).rotation)
    assert track.arkit.shape == (clip.frames, 52)
    assert track.arkit.dtype == track.rotation.dtype == track.gaze.dtype == np.float32
    assert (track.arkit >= 0).all()
    assert (track.arkit <= 1).all()
    gap = track.arkit[:, JAW] - track.arkit[:, CLOSE]
    for k in (1, 3, 5, 7):
        first = int(clip.spans.start[k] * 25)
        assert gap[first - 1 : first + 3].min() < 1e-3
    assert track.phonemes.min() >= 0


def test_silence_is_idle_with_lips_sealed():
    track = perform(7, SpeechClip(np.zeros(16_000 * 20, np.float32), None))
    assert track.arkit[:, JAW].max() < 0.02
    assert track.arkit[:, PLACE["eyeBlinkLeft"]].max() > 0.97
    assert (track.phonemes == -1).all()


def test_styles_differ():
    rng = np.random.default_rng(0)
    styles = [draw_style(rng) for _ in range(300)]
    rests = np.degrees([s.rest for s in styles])
    assert rests.std(0)[1] > 8
    assert np.abs(rests).max() < 60
    leans = np.array([s.lean for s in styles])
    assert leans.std() > 0.2
