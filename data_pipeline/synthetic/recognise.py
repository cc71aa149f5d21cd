"""Phoneme recognition of recorded speech, for lips that close at p, b and m.

By hama (PyPI, Apache-2.0, the extra `phonemes`), a small CTC recogniser. What it hears is good
enough to move lips, but it is no truth, so clips of recordings get no phoneme labels from it.
"""

import functools
import importlib.util

import numpy as np

from vasa_jax.data_pipeline.phonemes import INDEX
from vasa_jax.data_pipeline.synthetic.speech import Spans
from vasa_jax.typing import SAMPLE_RATE, Float

LATE = 0.08
"""Delay of the recogniser's emissions after the onset of a sound, seconds (fitted on Kokoro)."""
LONGEST = 0.22
"""Seconds after which a sound without a successor is over; the rest is a pause."""
_ALONE = 0.06
_SAME = {
    "g": "ɡ",
    "r": "ɹ",
    "a": "ɑ",
    "e": "ɛ",
    "o": "ɔ",
    "ɚ": "ɜ",
    "ɝ": "ɜ",
    "ɐ": "ə",
    "x": "k",
    "β": "v",
    "y": "i",
    "ɨ": "ɪ",
    "ʉ": "u",
    "ɻ": "ɹ",
    "c": "k",
    "ɟ": "ɡ",
    "ɲ": "n",
    "ɫ": "l",
}
"""Sounds that English lacks, as the nearest that lips know."""


def available() -> bool:
    """Whether the extra `phonemes` is installed."""
    return importlib.util.find_spec("hama") is not None


@functools.cache
def _recogniser():
    from hama import ASRModel

    return ASRModel()


def recognise(waveform: Float[np.ndarray, " n"]) -> Spans:
    """Spans over all of a waveform at 16 kHz; without stress. ImportError without hama."""
    model = _recogniser()
    heard = model.phoneme_spans(model.transcribe_waveform(waveform, SAMPLE_RATE))
    emitted = [(_SAME.get(s.phoneme, s.phoneme), s.start_ms / 1000 - LATE) for s in heard]
    return spans_from([e for e in emitted if e[0] in INDEX], len(waveform) / SAMPLE_RATE)


def spans_from(emitted: list[tuple[str, float]], seconds: float) -> Spans:
    """Spans of phonemes by their beginnings (ascending), with pauses where none follows soon."""
    rows: list[tuple[int, float]] = [(0, 0.0)]
    begins = [min(max(begin, 0.0), seconds) for _, begin in emitted] + [seconds]
    for k, (name, _) in enumerate(emitted):
        rows.append((INDEX[name], begins[k]))
        if begins[k + 1] - begins[k] > LONGEST:
            rows.append((0, begins[k] + 2 * _ALONE))
    rows.append((0, seconds))
    index, starts = zip(*rows, strict=True)
    start, end = np.array(starts), np.array([*starts[1:], seconds])
    kept = end > start
    return Spans(
        np.array(index, np.int16)[kept], start[kept], end[kept], np.zeros(kept.sum(), np.int8)
    )
