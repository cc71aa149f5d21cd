"""How a synthetic head moves: phrase poses and nods with the voice, breath, sway, posture."""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.phonemes import PHONEMES, VOWELS
from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, smooth
from vasa_jax.data_pipeline.synthetic.speech import Spans
from vasa_jax.typing import Float

PHRASE_SD = np.radians([2.5, 2.0, 1.0])
"""Pitch, yaw, roll of the pose that a phrase is said in (Busso et al. 2007: 3.3, 0.9, 0.8 in
neutral speech, 6.4, 2.6, 2.3 in happy speech)."""
_PHRASE_SECONDS = 1.6
PITCH_GAIN = np.radians([-0.45, 0.1, 0.08])
"""Turn of the head for each semitone of the voice: it rises with the voice's pitch, which explains
more of head motion than loudness does (Munhall et al. 2004)."""
NODDED = 0.5
"""Share of accents with a nod: Graf et al. 2002 saw one on 42 %, an overshooting one on 18 %."""
REST_SD = np.radians([6.0, 12.0, 3.5])
"""Where heads rest, over clips: wide, since a model must learn every pose."""
_LAG = 0.1
"""Seconds from an accent to the nod's lowest point: heads peak after the word (Kim et al. 2014)."""


class HeadPath(NamedTuple):
    """At 100 Hz. rotation: (r, 3) and offset: (r, 3) as in `MotionTrack`; accents: (k,) seconds."""

    rotation: Float[np.ndarray, "r 3"]
    offset: Float[np.ndarray, "r 3"]
    accents: Float[np.ndarray, " k"]


def accents(prosody: Prosody, spans: Spans | None) -> Float[np.ndarray, " k"]:
    """Seconds of accented syllables: stressed vowels, or else peaks of loudness, that are louder or
    higher than most."""
    strength = smooth(prosody.loudness, 0.05) + 2.0 * prosody.pitch
    spoken = prosody.speaking > 0.5
    if not spoken.any():
        return np.zeros(0)
    bar = np.percentile(strength[spoken], 60)
    if spans is None:
        inner = strength[1:-1]
        at = np.flatnonzero((inner >= strength[:-2]) & (inner > strength[2:])) + 1
    else:
        vowel = np.array([PHONEMES[i] in VOWELS for i in spans.phoneme])
        middle = (spans.start + spans.end)[vowel & (spans.stress == 2)] / 2
        at = np.clip((middle * RATE).astype(int), 0, len(strength) - 1)
    chosen = [i for i in at if spoken[i] and strength[i] > bar]
    return np.array([i / RATE for i in chosen])


def move_head(
    rng: np.random.Generator,
    prosody: Prosody,
    spans: Spans | None,
    rest: Float[np.ndarray, "3"],
    lively: float = 1.0,
) -> HeadPath:
    """Head motion of a clip about the pose `rest` (radians).

    lively: factor of all that speech causes. While nobody speaks, only breath (14 a minute, 0.3
    degrees), sway and a new posture every 9 to 22 s are left.
    """
    count = len(prosody.loudness)
    clock = (np.arange(count) + 0.5) / RATE
    active = smooth(prosody.speaking, 0.3)[:, None]
    voice = smooth(prosody.pitch, 0.1)[:, None] * PITCH_GAIN
    phrase = _phrases(rng, count) * PHRASE_SD
    rotation = rest + lively * active * (phrase + voice)
    found = accents(prosody, spans)
    rotation[:, 0] += lively * _nods(rng, found, clock)
    posture = _posture(rng, count)
    breath = np.sin(2 * np.pi * (clock * rng.normal(14, 1.2) / 60 + rng.random()))
    rotation[:, 0] += np.radians(0.3) * breath
    rotation += posture * np.radians([1.5, 2.5, 1.0])
    sway = _sway(rng, clock)
    rotation += np.radians([0.25, 0.4, 0.3]) * sway
    # The neck turns the head about a point below it, so a nod carries the eyes along.
    turned = rotation - rest
    offset = np.stack([-0.12 * turned[:, 2], 0.1 * turned[:, 0], -0.15 * turned[:, 0]], 1)
    offset += np.array([0.012, 0.006, 0.02]) * sway + np.array([0.03, 0.015, 0.06]) * posture
    offset[:, 1] -= 0.004 * breath
    return HeadPath(rotation, offset, found)


def _phrases(rng: np.random.Generator, count: int) -> Float[np.ndarray, "r 3"]:
    """Standard normal poses, held for a phrase each, joined below 1.5 Hz."""
    steps = np.zeros((count, 3))
    at = 0
    while at < count:
        last = at + int(max(0.5, rng.gamma(4, _PHRASE_SECONDS / 4)) * RATE)
        steps[at:last] = rng.standard_normal(3)
        at = last
    return smooth(steps, 0.17)


def _nods(
    rng: np.random.Generator, found: Float[np.ndarray, " k"], clock: Float[np.ndarray, " r"]
) -> Float[np.ndarray, " r"]:
    """Nods of 2 to 4 degrees and 150 to 400 ms on some accents, a second apart at least."""
    out = np.zeros(len(clock))
    last = -1.0
    for time in found:
        if time - last < 1.0 or rng.random() > NODDED:
            continue
        length = rng.uniform(0.15, 0.4)
        away = np.clip(np.abs(clock - time - _LAG) / length, 0, 1)
        out += np.radians(rng.uniform(2, 4)) * (0.5 + 0.5 * np.cos(np.pi * away))
        last = time
    return out


def _posture(rng: np.random.Generator, count: int) -> Float[np.ndarray, "r 3"]:
    """Standard normal places that change every 9 to 22 s, within about a second."""
    steps = np.zeros((count, 3))
    at, first = 0, True
    while at < count:
        length = rng.uniform(0, 15) if first else rng.uniform(9, 22)
        last = at + max(1, int(length * RATE))
        steps[at:last] = rng.standard_normal(3)
        at, first = last, False
    return smooth(steps, 0.4)


def _sway(rng: np.random.Generator, clock: Float[np.ndarray, " r"]) -> Float[np.ndarray, "r 3"]:
    """Slow swaying of a seated person, 0.04 to 0.6 Hz, standard deviation 1."""
    out = np.zeros((len(clock), 3))
    for rate, share in ((0.13, 1.0), (0.27, 0.6), (0.41, 0.4)):
        phase = rng.random(3)
        out += share * np.sin(2 * np.pi * (clock[:, None] * rate * rng.uniform(0.85, 1.15) + phase))
    return out / np.sqrt(0.5 * (1 + 0.36 + 0.16))
