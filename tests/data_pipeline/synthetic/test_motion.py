"""Statistics of blinks, gaze, head and emotion against the measured values they are made after."""

import numpy as np
import pytest
import scipy.ndimage

from tests.assets import SPEECH
from tests.data_pipeline.synthetic.helpers import chatter, talk
from vasa_jax.data_pipeline.synthetic.blinks import (
    IDLE_RATE,
    LEAST_GAP,
    TALKING_RATE,
    blink_curve,
    blink_times,
)
from vasa_jax.data_pipeline.synthetic.coarticulation import CLOSE, JAW
from vasa_jax.data_pipeline.synthetic.emotion import (
    FACES,
    brow_flashes,
    draw_emotion,
    expression,
    liveliness,
)
from vasa_jax.data_pipeline.synthetic.gaze import (
    MAIN_RANGE,
    look,
    look_coefficients,
    main_direction,
)
from vasa_jax.data_pipeline.synthetic.headmotion import accents, move_head, nods
from vasa_jax.data_pipeline.synthetic.performance import draw_style, perform
from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, analyse, at_frames, smooth
from vasa_jax.data_pipeline.synthetic.speech import SpeechClip
from vasa_jax.data_pipeline.synthetic.visemes import PLACE, vector
from vasa_jax.media.audio import open_audio
from vasa_jax.perception.face_statistics import head_statistics
from vasa_jax.typing import ARKIT, EMOTIONS

MINUTES = 20


def speaking(minutes: float, level: float = 1.0) -> Prosody:
    """Someone who speaks without an end (or, at level 0, is silent)."""
    count = int(minutes * 60 * RATE)
    voice = 3 * np.sin(np.arange(count) * 2 * np.pi / 170)
    return Prosody(
        np.full(count, -20.0), np.full(count, level), level * voice, np.full(count, level)
    )


@pytest.mark.parametrize(("level", "expected"), [(1.0, TALKING_RATE), (0.0, IDLE_RATE)])
def test_blink_rate_and_gaps(level, expected):
    times = blink_times(np.random.default_rng(0), speaking(MINUTES, level))
    gaps = np.diff(times)
    assert len(times) / MINUTES == pytest.approx(expected, rel=0.12)
    assert gaps.min() >= LEAST_GAP - 1e-9
    logs = np.log(gaps - LEAST_GAP + 1e-3)
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


def near_share(times, events, within):
    return (np.abs(times[:, None] - events).min(1) < within).mean()


def test_blinks_gather_at_pauses_and_after_accents():
    clip = chatter(120, seed=2, silence=0.06)
    prosody = analyse(clip.waveform)
    pause = clip.spans.phoneme == 0
    edges = np.concatenate([clip.spans.start[pause], clip.spans.end[pause]])
    stressed = np.arange(2.0, 118.0, 3.1)
    drawn = [blink_times(np.random.default_rng(s), prosody, 1.0, stressed) for s in range(8)]
    times = np.concatenate(drawn)
    uniform = np.random.default_rng(0).uniform(0, 120, 4000)
    assert near_share(times, edges, 0.15) > 1.3 * near_share(uniform, edges, 0.15)
    far = np.abs(stressed[:, None] - edges).min(1) > 1.2
    after = stressed[far] + 0.25
    assert far.sum() > 3
    assert near_share(times, after, 0.15) > 1.3 * near_share(uniform, after, 0.15)
    assert len({tuple(times) for times in drawn}) == 8


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


def heard(seed: int, seconds: float = 20.0) -> tuple[Prosody, None]:
    """The prosody of speech: syllables and phrases in pitch and loudness, and pauses, by chance."""
    rng, count = np.random.default_rng((seed, 1)), int(seconds * RATE)

    def wave(pace):
        found = smooth(rng.standard_normal(count), pace)
        return found / found.std()

    speaking = smooth((wave(0.25) > -0.9).astype(float), 0.03)
    loudness = -24 + 4 * wave(0.08) + 2 * wave(0.5) - 40 * (1 - speaking)
    pitch = speaking * (1.6 * wave(0.1) + 1.6 * wave(0.5))
    return Prosody(loudness, speaking, pitch, (speaking > 0.5).astype(float)), None


def head_of(sound, seed=0, **how):
    return move_head(np.random.default_rng(seed), *sound, np.zeros(3), **how)


def test_head_follows_the_sound_more_than_chance():
    """Of each axis: what is left of the variance when all that chance decides is taken out."""
    shares = []
    for seed in range(12):
        path, heard_alone = (head_of(heard(seed, 8.0), seed, chance=c).rotation for c in (1.0, 0.0))
        rest = (path - heard_alone).var(0)
        shares.append(1 - rest / path.var(0))
    assert (np.median(shares, 0) > 0.6).all()


def test_one_sound_moves_two_heads_alike_and_another_sound_does_not():
    one, two = (head_of(heard(0), seed).rotation for seed in (0, 1))
    other = head_of(heard(1), 0).rotation
    count = min(len(one), len(other))
    for axis in range(2):
        assert np.corrcoef(one[:, axis], two[:, axis])[0, 1] > 0.6
        assert abs(np.corrcoef(one[:count, axis], other[:count, axis])[0, 1]) < 0.5


def test_a_head_can_be_told_from_the_sound_around_it():
    """Ridge regression from a second of loudness and pitch to the head's turning, other clips."""
    rows = []
    for seed in range(8):
        sound = heard(seed)
        prosody, count = sound[0], len(sound[0].loudness) // 4
        told = np.stack([prosody.pitch, np.maximum(prosody.loudness, -60) / 5, prosody.speaking], 1)
        told = np.pad(at_frames(told, count), ((12, 12), (0, 0)), mode="edge")
        told = np.concatenate([told[k : k + count] for k in range(25)], 1)
        turned = np.gradient(
            smooth(at_frames(head_of(sound, seed).rotation, count), 2.0, 1.0), axis=0
        )
        rows.append((told, turned))
    (x, y), (held_x, held_y) = (
        map(np.concatenate, zip(*part, strict=True)) for part in (rows[:6], rows[6:])
    )
    mean, spread = x.mean(0), x.std(0) + 1e-6
    x, held_x = (x - mean) / spread, (held_x - mean) / spread
    weights = np.linalg.solve(x.T @ x + 30 * np.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    left = ((held_y - held_x @ weights - y.mean(0)) ** 2).sum(0) / (held_y**2).sum(0)
    assert (1 - left > 0.3).all()  # 0.58, 0.50 and 0.54 on read speech; 0.16 and less by chance


def test_heads_are_as_lively_as_those_of_people():
    """On the example's speech: mean change of an angle, degrees a frame, smoothed as measured."""
    prosody = analyse(np.asarray(open_audio(SPEECH).waveform[:160_000]))
    frames = len(prosody.loudness) // 4
    speeds = []
    for seed in range(6):
        rotation = at_frames(head_of((prosody, None), seed).rotation, frames)
        speeds.append(head_statistics(rotation)["head speed"])
    assert 0.13 < np.median(speeds) < 0.3  # 0.17 of people who talk, 0.30 of VASA-1's clips


def test_stronger_accents_nod_deeper_and_raise_brows():
    clock = (np.arange(600) + 0.5) / RATE
    times, strength = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 5.0, 9.0])
    face = brow_flashes(np.random.default_rng(0), times, strength, clock)
    brows = face[:, PLACE["browOuterUpLeft"]]
    near = [brows[int(t * RATE) - 10 : int(t * RATE) + 60].max() for t in times]
    assert near[0] == near[1] == 0
    assert near[3] > 0.3 > near[2] > 0.05
    assert brow_flashes(np.random.default_rng(0), times[:0], strength[:0], clock).max() == 0
    nodded = np.degrees(nods(strength, times, clock))
    depth = [nodded[int(t * RATE) - 20 : int(t * RATE) + 40].max() for t in times]
    assert depth[0] == depth[1] == 0
    assert 3.5 < depth[3] <= 4.0
    assert 1.5 < depth[2] < depth[3]
    assert np.argmax(nodded) / RATE == pytest.approx(4.1, abs=0.02)  # heads peak after the word
    assert nods(strength[:0], times[:0], clock).max() == 0


def test_emotions_make_heads_livelier():
    shares = dict.fromkeys(EMOTIONS, 0.0)
    lively = {
        name: liveliness(np.array(list((shares | {name: 1.0}).values()))) for name in EMOTIONS
    }
    assert lively["neutral"] == 1
    assert lively["happiness"] > lively["anger"] > lively["sadness"] > 1


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
    assert np.mean(drawn[:, EMOTIONS.index("neutral")] == 1) == pytest.approx(0.3, abs=0.06)
    assert (drawn.max(0) > 0.6).all()
    assert set(FACES) == set(EMOTIONS)
    assert all(vector(face)[JAW] == 0 for face in FACES.values())
    shares = np.zeros(8)
    shares[EMOTIONS.index("happiness")] = 0.5
    face = expression(shares, np.array([0.0, 1.0]))
    smile, squint = PLACE["mouthSmileLeft"], PLACE["eyeSquintLeft"]
    np.testing.assert_allclose(face[:, smile], [0.5 * 0.85, 0.5 * 0.85 * 0.65])
    np.testing.assert_allclose(face[:, squint], [0.5 * 0.4, 0.5 * 0.4 * 0.9])


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
