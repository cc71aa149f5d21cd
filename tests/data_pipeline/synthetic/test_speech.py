"""Resampling against SciPy, spans against durations by hand, and the speech model if it is here."""

import numpy as np
import pytest
import scipy.signal

from tests.data_pipeline.synthetic.helpers import needs_kokoro
from vasa_jax.data_pipeline.phonemes import LETTERS, PHONEMES, VOWELS
from vasa_jax.data_pipeline.synthetic.prosody import RATE, analyse
from vasa_jax.data_pipeline.synthetic.resample import to_16k
from vasa_jax.data_pipeline.synthetic.sentences import sentences
from vasa_jax.data_pipeline.synthetic.speech import (
    _IDS,
    EARLY,
    Kokoro,
    SpeechClip,
    frame_labels,
    spans_of,
    trim,
)
from vasa_jax.data_pipeline.synthetic.utterance import HELD_OUT, utter, voices
from vasa_jax.errors import UserError
from vasa_jax.zoo.kokoro import PARTS, VOICES


def test_resampling_agrees_with_scipy():
    rng = np.random.default_rng(0)
    low = scipy.signal.butter(8, 6000, fs=24_000, output="sos")
    wave = scipy.signal.sosfiltfilt(low, rng.standard_normal(24_000)).astype(np.float32)
    expected = scipy.signal.resample_poly(wave.astype(np.float64), 2, 3, window=("kaiser", 12.0))
    found = to_16k(wave)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    # Both pass what lies below 6 kHz; their filters differ above.
    assert np.abs(found - expected)[100:-100].max() < 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 301])
def test_resampled_lengths(count):
    assert len(to_16k(np.ones(count, np.float32))) == -(-count * 2 // 3)


@pytest.mark.parametrize(("hertz", "gain"), [(1000, 1.0), (6500, 1.0), (8500, 0.0), (11000, 0.0)])
def test_resampling_passes_speech_and_no_alias(hertz, gain):
    clock = np.arange(24_000) / 24_000
    out = to_16k(np.sin(2 * np.pi * hertz * clock).astype(np.float32))[1000:-1000]
    assert np.sqrt(2 * np.mean(out**2)) == pytest.approx(gain, abs=0.01)


def test_spans_of_letters_by_hand():
    # Pause 10, m 2, mark 2 + a 4 (one sound), space 2 (halved), t 2, u 4, length 2, stop 8, end 1.
    spans = spans_of("mˈa tuː.", np.array([10, 2, 2, 4, 2, 2, 4, 2, 8, 1]))
    assert [PHONEMES[i] for i in spans.phoneme] == ["sil", "m", "æ", "t", "u", "sil"]
    ends = np.array([10, 12, 19, 22, 28]) * 0.025 - EARLY
    np.testing.assert_allclose(spans.end[:-1], ends)
    np.testing.assert_allclose(spans.end[-1], 37 * 0.025)
    np.testing.assert_allclose(spans.start[1:], spans.end[:-1])
    assert spans.stress.tolist() == [0, 0, 2, 0, 0, 0]


def test_long_space_is_a_pause_and_wrong_counts_are_refused():
    spans = spans_of("a b", np.array([2, 4, 8, 4, 2]))
    assert [PHONEMES[i] for i in spans.phoneme] == ["sil", "æ", "sil", "b", "sil"]
    with pytest.raises(ValueError, match="durations"):
        spans_of("ab", np.array([1, 2, 3]))


def test_trim_gives_silence_to_the_pause():
    wave = np.zeros(16_000, np.float32)
    wave[3200:8000] = np.sin(np.arange(4800) * 0.2)  # 0.2 to 0.5 s
    spans = spans_of("ad", np.array([4, 8, 20, 8]))
    trimmed = trim(spans, wave)
    names = [PHONEMES[i] for i in trimmed.phoneme]
    assert names == ["sil", "æ", "d", "sil"]
    assert trimmed.end[2] == pytest.approx(0.5, abs=0.02)
    assert trimmed.start[3] == trimmed.end[2]


def test_frame_labels_take_the_middle():
    spans = spans_of("ma", np.array([4, 4, 8, 4]))._replace(
        start=np.array([0.0, 0.1, 0.2, 0.4]), end=np.array([0.1, 0.2, 0.4, 0.5])
    )
    labels = frame_labels(spans, 13)
    assert labels.dtype == np.int16
    names = [PHONEMES[i] for i in labels]
    assert names == ["sil"] * 2 + ["m"] * 3 + ["æ"] * 5 + ["sil"] * 3  # middles at .02, .06, .10 …


def test_sentences_hold_only_known_letters():
    texts = sentences()
    assert len(texts) > 400
    assert len({t.text for t in texts}) == len(texts)
    letters = set("".join(t.american + t.british for t in texts))
    spoken = {LETTERS[letter] for letter in letters if letter in LETTERS}
    assert spoken == set(PHONEMES) - {"sil", "ʔ"}
    for text in texts:
        assert set(text.american + text.british) <= set(_IDS)
        assert max(len(text.american), len(text.british)) < 200


def _pitch(wave):
    """Median over the voiced pieces of 40 ms, Hz, by autocorrelation."""
    rows = wave[: len(wave) // 640 * 640].reshape(-1, 640).astype(np.float64)
    rows = rows[np.square(rows).mean(1) > np.square(rows).mean() / 2]
    power = np.abs(np.fft.rfft(rows, 2048)) ** 2
    lags = np.fft.irfft(power)[:, 40:230] / np.fft.irfft(power)[:, :1]
    lags = lags[lags.max(1) > 0.3]
    return 16_000 / float(np.median(lags.argmax(1) + 40))


def test_voices_are_split():
    everyone = [v for sex in "fm" for held in (True, False) for v in voices(sex, held)]
    assert sorted(everyone) == [v for v in sorted(VOICES) if v[0] != "z"]
    assert len(everyone) == 46
    assert set(HELD_OUT) == {*voices("f", True), *voices("m", True)}
    assert len(PARTS) == 4


@needs_kokoro
def test_kokoro_speaks_and_its_phonemes_are_where_they_sound():
    kokoro = Kokoro()
    with pytest.raises(UserError, match="no voice"):
        kokoro.say("a", "nobody")
    with pytest.raises(UserError, match="'much' is no share"):
        kokoro.say("a", "af_sky:much+af_heart:0.5")
    text = next(t for t in sentences() if t.text.startswith("Zoe"))
    spoken = kokoro.say(text.american, "af_heart")
    assert np.array_equal(spoken.waveform, kokoro.say(text.american, "af_heart").waveform)
    near = kokoro.say(text.american, "af_heart:0.999+am_liam:0.001")
    half = kokoro.say(text.american, "af_heart:0.5+am_liam:0.5")
    other = kokoro.say(text.american, "am_liam")
    pitch = [_pitch(s.waveform) for s in (spoken, near, half, other)]
    assert pitch[0] == pytest.approx(pitch[1], rel=0.05)
    assert pitch[3] * 1.1 < pitch[2] < pitch[0] / 1.1
    assert spoken.spans.end[-1] == pytest.approx(len(spoken.waveform) / 16_000, abs=0.01)
    sound = scipy.signal.sosfiltfilt(
        scipy.signal.butter(4, [150, 1500], "band", fs=16_000, output="sos"), spoken.waveform
    )
    count = len(sound) // 160
    energy = np.sqrt((sound[: count * 160].reshape(count, 160) ** 2).mean(1))
    vowel = np.zeros(count)
    for index, start, end in zip(*spoken.spans[:3], strict=True):
        vowel[round(start * RATE) : round(end * RATE)] = PHONEMES[index] in VOWELS
    shifts = range(-12, 13)
    fit = [np.corrcoef(np.roll(vowel, s), energy)[0, 1] for s in shifts]
    assert max(fit) > 0.4
    assert abs(shifts[int(np.argmax(fit))]) <= 4  # 40 ms, one frame


@needs_kokoro
def test_utterances_have_the_asked_length_and_repeat():
    kokoro = Kokoro()
    first = utter(kokoro, (1, 2), "bm_george", 80)
    second = utter(kokoro, (1, 2), "bm_george", 80)
    assert isinstance(first, SpeechClip)
    assert first.frames == 80
    assert len(first.waveform) == 80 * 640
    assert first.text
    np.testing.assert_array_equal(first.waveform, second.waveform)
    np.testing.assert_allclose(first.spans.start[1:], first.spans.end[:-1])
    assert first.spans.end[-1] == pytest.approx(80 / 25)
    assert analyse(first.waveform).voiced.mean() > 0.15
