"""Head motion from speech: the voice's pitch, stress and phrases, and breath and sway.

Most of it follows from the sound by one fixed map, so that a network can learn it from the sound: a
speaker's manner scales the map, and a smaller part is chance. What the map reads lies within about
a second of where it acts, and is measured against the clip's mean loudness and median pitch.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.phonemes import PHONEMES, VOWELS
from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, smooth, strongest
from vasa_jax.data_pipeline.synthetic.speech import Spans
from vasa_jax.typing import Float

VOICE_GAIN = np.radians(
    [
        [-1.3, 0.45, 0.5],  # pitch of the syllables
        [0.7, 0.55, -0.35],  # their loudness
        [-1.1, -1.2, 1.0],  # pitch over a second
        [0.7, -1.4, -1.0],  # loudness over a second
    ]
)
"""Pitch, yaw, roll of the head for one unit of each feature of `melody`: the head rises with the
voice's pitch (Munhall et al. 2004) and drops on stress (Hadar et al. 1983)."""
PHRASE_GAIN = np.radians([[-1.6, 1.4, 1.0], [0.8, 1.5, -1.0]])
"""Head pose of a phrase for one unit of pitch and of loudness of its first half second."""
_ONSET = 0.5
_LEAST_PHRASE = 0.8
_LEAD = 0.1
"""Seconds by which the head leads a phrase: it does in more than 70 % (Graf et al. 2002)."""
CHANCE_SD = np.radians([0.9, 0.7, 0.5])
"""Standard deviation of the random part of a phrase's pose."""
NODDED = 0.55
"""Share of accents strong enough for a nod: Graf et al. 2002 saw one on 42 %, an overshooting one
on 18 %."""
_NOD_GAP = 0.6
_NOD = np.radians([1.6, 4.0])
"""Depth of the nod of a weak and of a strong accent."""
_NOD_SECONDS = 0.15, 0.32
REST_SD = np.radians([6.0, 12.0, 3.5])
"""Where heads rest, over clips: wide, since a model must learn every pose."""
_LAG = 0.1
"""Seconds from an accent to the nod's lowest point: heads peak after the word (Kim et al. 2014)."""
EVEN = np.ones(3)
"""The manner of the mean speaker: factors of pitch, yaw and roll."""


class HeadPath(NamedTuple):
    """Head motion at 100 Hz, as in `MotionTrack`."""

    rotation: Float[np.ndarray, "r 3"]
    offset: Float[np.ndarray, "r 3"]
    accents: Float[np.ndarray, " k"]  # seconds
    strength: Float[np.ndarray, " k"]  # of `emphasis`


def melody(prosody: Prosody) -> Float[np.ndarray, "r 4"]:
    """Pitch and loudness of the syllables (against the second around them), then of the second
    around each moment against the clip; about 1 at a standard deviation of read speech, 0 in
    silence."""
    spoken = prosody.speaking > 0.5
    if not spoken.any():
        return np.zeros((len(spoken), 4))
    active = smooth(prosody.speaking, 0.08)
    level = float(prosody.loudness[spoken].mean())
    loud = np.clip((prosody.loudness - level) / 6, -2.5, 2) * active
    tone = np.clip(prosody.pitch / 3, -2.5, 2.5) * active
    slow = [smooth(x, 0.45) for x in (tone, loud)]
    quick = [smooth(x, 0.11) - s for x, s in zip((tone, loud), slow, strict=True)]
    spread = np.array([0.4, 0.3, 0.35, 0.2])
    return np.stack([*quick, *slow], 1) / spread


def phrase_starts(prosody: Prosody, found: Float[np.ndarray, " k"]) -> Float[np.ndarray, " p"]:
    """Seconds at which a phrase begins: where speech does, and at the accents of long stretches, at
    least `_LEAST_PHRASE` s apart."""
    speaks = smooth(prosody.speaking, 0.06) > 0.35
    onsets = np.flatnonzero(np.diff(np.concatenate([[False], speaks]).astype(int)) == 1) / RATE
    starts: list[float] = []
    for time in sorted([*onsets, *found]):
        if not starts or time - starts[-1] >= _LEAST_PHRASE:
            starts.append(float(time))
    return np.array(starts)


def accents(prosody: Prosody, spans: Spans | None) -> Float[np.ndarray, " k"]:
    """Seconds of accented syllables: stressed vowels, or else peaks of loudness, that are louder or
    higher than most."""
    strength = emphasis(prosody)
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


def emphasis(prosody: Prosody) -> Float[np.ndarray, " r"]:
    """How much a moment stands out: dB of loudness, and 2 a semitone."""
    return smooth(prosody.loudness, 0.05) + 2.0 * prosody.pitch


def move_head(
    rng: np.random.Generator,
    prosody: Prosody,
    spans: Spans | None,
    rest: Float[np.ndarray, "3"],
    lively: float = 1.0,
    manner: Float[np.ndarray, "3"] = EVEN,
    chance: float = 1.0,
) -> HeadPath:
    """Head motion of a clip about the pose `rest` (radians).

    lively: factor of all that speech causes; manner: factors of its axes. chance: factor of what
    `rng` decides; with 0 equal sounds move equal heads alike. While nobody speaks, only breath (14
    a minute, 0.3 degrees), sway and a new posture every 9 to 22 s are left.
    """
    count = len(prosody.loudness)
    clock = (np.arange(count) + 0.5) / RATE
    active = smooth(prosody.speaking, 0.3)[:, None]
    found = accents(prosody, spans)
    tune = melody(prosody)
    phrase = _phrases(rng, tune, phrase_starts(prosody, found), chance)
    spoken = tune @ VOICE_GAIN + active * smooth(phrase, 0.17)
    strength = emphasis(prosody)[(found * RATE).astype(int)]
    spoken[:, 0] += nods(strength, found, clock)
    rotation = rest + lively * manner * spoken
    posture = chance * _posture(rng, count)
    breath = chance * np.sin(2 * np.pi * (clock * rng.normal(14, 1.2) / 60 + rng.random()))
    rotation[:, 0] += np.radians(0.3) * breath
    rotation += posture * np.radians([1.2, 1.6, 0.8])
    sway = chance * _sway(rng, clock)
    rotation += np.radians([0.25, 0.4, 0.3]) * sway
    # The neck turns the head about a point below it, so a nod carries the eyes along.
    turned = rotation - rest
    offset = np.stack([-0.12 * turned[:, 2], 0.1 * turned[:, 0], -0.15 * turned[:, 0]], 1)
    offset += np.array([0.012, 0.006, 0.02]) * sway + np.array([0.03, 0.015, 0.06]) * posture
    offset[:, 1] -= 0.004 * breath
    return HeadPath(rotation, offset, found, strength)


def _phrases(
    rng: np.random.Generator,
    tune: Float[np.ndarray, "r 4"],
    starts: Float[np.ndarray, " p"],
    chance: float,
) -> Float[np.ndarray, "r 3"]:
    """The pose of each phrase from how its first half second sounds, held until the next."""
    poses = np.zeros((len(tune), 3))
    for start in starts:
        at = int(start * RATE)
        heard = tune[at : at + int(_ONSET * RATE)].mean(0)
        pose = np.clip(heard[2:] + 0.5 * heard[:2], -2, 2) @ PHRASE_GAIN
        poses[max(0, at - int(_LEAD * RATE)) :] = pose + chance * rng.normal(0, CHANCE_SD)
    return poses


def nods(
    strength: Float[np.ndarray, " k"],
    found: Float[np.ndarray, " k"],
    clock: Float[np.ndarray, " r"],
) -> Float[np.ndarray, " r"]:
    """Nods on the stronger accents, deeper and longer the stronger they are."""
    out = np.zeros(len(clock))
    if not len(found):
        return out
    chosen, part = strongest(strength, NODDED)
    last = -1.0
    for time, share in zip(found[chosen], part, strict=True):
        if time - last < _NOD_GAP:
            continue
        length = np.interp(share, [0, 1], _NOD_SECONDS)
        away = np.clip(np.abs(clock - time - _LAG) / length, 0, 1)
        out += np.interp(share, [0, 1], _NOD) * (0.5 + 0.5 * np.cos(np.pi * away))
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
