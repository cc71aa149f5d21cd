"""Made-up speech for tests: tones for vowels, noise for consonants, silence, at known times."""

import numpy as np

from tests import needs
from vasa_jax.data_pipeline.phonemes import INDEX, PAUSE, PHONEMES, VOICELESS, VOWELS
from vasa_jax.data_pipeline.synthetic.speech import Spans, SpeechClip

KOKORO = ("kokoro-1", "kokoro-2", "kokoro-3", "kokoro-4", "kokoro-voices")
needs_kokoro = needs.weights(*KOKORO)
LENGTH = {"vowel": 0.14, "consonant": 0.08, PAUSE: 0.4}


def spans_from(names: list[str], seconds: dict[int, float] | None = None) -> Spans:
    """Spans of phonemes in a row, each as long as its kind, or as `seconds` says by position."""
    lengths = [
        LENGTH["vowel" if n in VOWELS else PAUSE if n == PAUSE else "consonant"] for n in names
    ]
    for i, value in (seconds or {}).items():
        lengths[i] = value
    edges = np.concatenate([[0], np.cumsum(lengths)])
    stress = [2 if n in VOWELS and i % 2 else 0 for i, n in enumerate(names)]
    return Spans(
        np.array([INDEX[n] for n in names], np.int16),
        edges[:-1],
        edges[1:],
        np.array(stress, np.int8),
    )


def talk(names: list[str], seconds: dict[int, float] | None = None, seed: int = 0) -> SpeechClip:
    """A clip whose sound fits its spans, filled up with silence to whole frames."""
    rng = np.random.default_rng(seed)
    spans = spans_from(names, seconds)
    count = int(np.ceil(spans.end[-1] * 25)) * 640
    spans.end[-1] = count / 16_000
    clock = np.arange(count) / 16_000
    pitch = 120 * 2 ** (0.2 * np.sin(2 * np.pi * 0.4 * clock) + 0.1 * rng.standard_normal())
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    wave = 1e-4 * rng.standard_normal(count)
    for index, start, end in zip(spans.phoneme, spans.start, spans.end, strict=True):
        name, at = PHONEMES[index], slice(int(start * 16_000), int(end * 16_000))
        if name in VOWELS:
            wave[at] += 0.15 * tone[at]
        elif name != PAUSE and name not in VOICELESS:
            wave[at] += 0.03 * tone[at]
        elif name in ("s", "ʃ", "f"):
            wave[at] += 0.03 * np.diff(rng.standard_normal(at.stop - at.start + 1))
    return SpeechClip(wave.astype(np.float32), spans)


def chatter(
    seconds: float, seed: int = 0, silence: float = 0.1, vowels: tuple[str, ...] = VOWELS
) -> SpeechClip:
    """Random syllables with pauses, about `seconds` long."""
    rng = np.random.default_rng(seed)
    names, clock = [PAUSE], 0.4
    consonants = ["p", "b", "m", "f", "s", "t", "n", "k", "ɹ", "w", "ʃ"]
    while clock < seconds:
        names += [str(rng.choice(consonants)), str(rng.choice(vowels))]
        clock += 0.22
        if rng.random() < silence:
            names.append(PAUSE)
            clock += 0.4
    return talk([*names, PAUSE], seed=seed)
