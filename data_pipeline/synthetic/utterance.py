"""The speech of one clip: sentences, pauses and silence of a given length."""

from collections.abc import Sequence

import numpy as np

from vasa_jax.data_pipeline.synthetic.sentences import Text, sentences
from vasa_jax.data_pipeline.synthetic.speech import Kokoro, Sentence, Spans, SpeechClip
from vasa_jax.typing import FPS, SAMPLE_RATE, Float

HELD_OUT = (
    "af_kore",
    "af_sarah",
    "am_eric",
    "am_onyx",
    "bf_lily",
    "bm_daniel",
    "ef_dora",
    "hm_psi",
    "im_nicola",
    "jf_nezumi",
)
"""Voices that only people outside the training split speak with, so that audio generalisation can
be measured."""
_LETTERS_PER_SECOND = 15.0
_FLOOR = 10 ** (-66 / 20)
"""Amplitude of the room's noise: a microphone's silence is never zero."""


def voices(sex: str, held_out: bool) -> tuple[str, ...]:
    """Names of the voices of a sex ('f' or 'm'), either those held out or the others.

    46 of Kokoro's 54 voices: a phoneme recogniser (hama 1.7.0, three sentences each) reads English
    from voices recorded in other languages as well as from the English ones (phoneme error rate
    0.25 to 0.29 on average of a language, much of it notation), but not from the eight Mandarin
    ones (0.37). British voices get British phonemes, all others American ones.
    """
    from vasa_jax.zoo.kokoro import VOICES

    spoken = [voice for voice in sorted(VOICES) if voice[0] != "z"]
    return tuple(v for v in spoken if v[1] == sex and (v in HELD_OUT) == held_out)


def mix_voice(rng: np.random.Generator, voice: str, choices: Sequence[str]) -> str:
    """This voice, for three people in four mixed with another of the choices, of the same accent.

    What one learns from some dozen voices does not hold for the next. A phoneme recogniser (hama
    1.7.0, five sentences each) reads seven mixtures as well as the voices that they are made of
    (error rate 0.19 to 0.27, voices 0.20 to 0.24), and finds their frames as often where Kokoro's
    durations say (0.56 to 0.69; 0.54 to 0.68).
    """
    others = [v for v in sorted(choices) if v != voice and (v[0] == "b") == (voice[0] == "b")]
    if not others or rng.random() < 1 / 4:
        return voice
    share = rng.uniform(0.3, 0.7)
    return f"{voice}:{share:.3f}+{rng.choice(others)}:{1 - share:.3f}"


def utter(kokoro: Kokoro, seed: tuple[int, ...], voice: str, frames: int) -> SpeechClip:
    """A clip of `frames` frames: silence, sentences with pauses between them, silence.

    Sentences that would not fit are passed over, but a clip too short for any gets the beginning
    of one; one in twelve clips begins with a longer silence.
    The level of speech varies by some dB. The same arguments give the same clip.
    """
    rng = np.random.default_rng(seed)
    total = frames * SAMPLE_RATE // FPS
    lead = rng.uniform(1.2, 3.0) if rng.random() < 1 / 12 else rng.uniform(0.15, 0.6)
    clock = min(lead, 0.3 * total / SAMPLE_RATE)
    speed = float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.2))
    placed: list[tuple[float, Sentence]] = []
    said: list[str] = []
    while (chosen := _choose(rng, total / SAMPLE_RATE - clock, not placed)) is not None:
        letters = chosen.british if voice[0] == "b" else chosen.american
        sentence = _without_ends(kokoro.say(letters, voice, speed))
        length = len(sentence.waveform) / SAMPLE_RATE
        if clock + length > total / SAMPLE_RATE:
            if placed:
                break
            sentence = _cut(sentence, total / SAMPLE_RATE - clock)
        placed.append((clock, sentence))
        said.append(chosen.text)
        clock += length + float(np.exp(rng.normal(np.log(0.45), 0.5)))
    level = 10 ** (rng.uniform(-27, -19) / 20)
    waveform = _mix(rng, placed, total, level)
    return SpeechClip(waveform, _join(placed, total / SAMPLE_RATE), voice, " ".join(said))


def _choose(rng: np.random.Generator, room: float, must: bool) -> Text | None:
    """A sentence that should fit into `room` seconds; else one to cut if `must`, else None."""
    order = [sentences()[i] for i in rng.permutation(len(sentences()))]
    fitting = (text for text in order[:40] if len(text.text) / _LETTERS_PER_SECOND + 0.2 < room)
    return next(fitting, order[0] if must else None)


def _without_ends(sentence: Sentence, keep: float = 0.08) -> Sentence:
    """Cut the silence before and after down to `keep` seconds."""
    spans = sentence.spans
    first = max(0.0, float(spans.end[0]) - keep) if spans.phoneme[0] == 0 else 0.0
    last = min(float(spans.end[-1]), float(spans.start[-1]) + keep)
    wave = sentence.waveform[round(first * SAMPLE_RATE) : round(last * SAMPLE_RATE)]
    return Sentence(wave, _clip(spans, first, last))


def _cut(sentence: Sentence, seconds: float) -> Sentence:
    wave = sentence.waveform[: int(seconds * SAMPLE_RATE)]
    return Sentence(wave, _clip(sentence.spans, 0.0, len(wave) / SAMPLE_RATE))


def _clip(spans: Spans, first: float, last: float) -> Spans:
    kept = (spans.end > first) & (spans.start < last)
    return Spans(
        spans.phoneme[kept],
        np.clip(spans.start[kept], first, last) - first,
        np.clip(spans.end[kept], first, last) - first,
        spans.stress[kept],
    )


def _mix(
    rng: np.random.Generator, placed: list[tuple[float, Sentence]], total: int, level: float
) -> Float[np.ndarray, " n"]:
    out = np.zeros(total, np.float32)
    for clock, sentence in placed:
        wave, at = sentence.waveform, round(clock * SAMPLE_RATE)
        loud = np.sqrt(np.mean(wave.astype(np.float64) ** 2)) + 1e-9
        ramp = np.minimum(1, np.minimum(np.arange(len(wave)), np.arange(len(wave))[::-1]) / 80)
        piece = (wave * ramp * (level / loud))[: total - at]
        out[at : at + len(piece)] += piece.astype(np.float32)
    out += (_FLOOR * rng.standard_normal(total)).astype(np.float32)
    return np.clip(out, -1, 1)


def _join(placed: list[tuple[float, Sentence]], seconds: float) -> Spans:
    """Spans of the whole clip; pauses that touch become one."""
    rows: list[tuple] = []
    clock = 0.0
    for at, sentence in placed:
        rows.append((0, clock, at, 0))
        s = sentence.spans
        rows += [(int(p), at + float(a), at + float(b), int(q)) for p, a, b, q in zip(*s)]  # noqa: B905
        clock = rows[-1][2]
    rows.append((0, clock, seconds, 0))
    merged: list[list] = []
    for p, a, b, q in rows:
        if b <= a + 1e-9:
            continue
        if merged and p == 0 and merged[-1][0] == 0:
            merged[-1][2] = b
        else:
            merged.append([p, a, b, q])
    columns = list(zip(*merged, strict=True))
    return Spans(
        np.array(columns[0], np.int16),
        np.array(columns[1]),
        np.array(columns[2]),
        np.array(columns[3], np.int8),
    )
