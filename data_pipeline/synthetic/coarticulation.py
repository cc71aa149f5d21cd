"""Mouth motion from timed phonemes: dominance functions (Cohen and Massaro 1993) and closures.

Every shape pulls with a strength that falls off around its time, and the mouth is the weighted mean
(Cohen & Massaro 1993, Modeling coarticulation in synthetic visual speech). Blending alone would
leave lips open at /p b m/, so the rules of JALI (Edwards et al. 2016, section 4.2) come after.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.phonemes import (
    BILABIAL,
    LABIODENTAL,
    PHONEMES,
    ROUNDED,
    SIBILANT,
    VOWELS,
)
from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, smooth
from vasa_jax.data_pipeline.synthetic.speech import Spans
from vasa_jax.data_pipeline.synthetic.visemes import GROUPS, SHAPES, Pose, channels, poses, vector
from vasa_jax.typing import ARKIT, Float

LEAD_AFTER_PAUSE = 0.14
"""Seconds by which lips move before the sound after a pause: 100 to 300 measured (Chandrasekaran
et al. 2009), JALI's onset is 120 ms."""
LEAD = 0.04
"""Seconds otherwise, one frame: -20 to +70 ms measured in running syllables (Schwartz & Savariaux
2014)."""
TRAIL = 0.16
"""Seconds in which the mouth comes to rest after a phrase (JALI: 120 ms, a little more here since
the sound's own end is soft)."""
_DECAY = {"vowel": 6.0, "consonant": 11.0, "pause": 20.0}
"""1/s for a sound of 90 ms, longer sounds slower with the root of their length (OpenFaceFX);
beyond 0.12 s no slower, or a long vowel would swallow its neighbours."""
_PROTRUSION = 0.06
"""Seconds that rounding reaches beyond its sound at full strength; the decay adds 0.09 (JALI:
150 ms each side)."""
_SMOOTH = 0.018
JAW = channels("jawOpen")[0]
CLOSE = channels("mouthClose")[0]
SEALED_JAW = 0.06
NARROW_JAW = 0.14
_MOUTH = sorted({i for names in GROUPS.values() for name in names for i in channels(name)})


class Mouth(NamedTuple):
    """Mouth motion at 100 Hz, and how strongly each rule binds it."""

    arkit: Float[np.ndarray, "r 52"]  # before the rules
    # 0 to 1: how far lips must be shut (/p b m/), the lower lip be under the teeth (/f v/), the jaw
    # be near closed (/s ʃ/).
    seal: Float[np.ndarray, " r"]
    tuck: Float[np.ndarray, " r"]
    narrow: Float[np.ndarray, " r"]


def articulate(spans: Spans, prosody: Prosody, strength: float = 1.0) -> Mouth:
    """The mouth's movement for phonemes, at 100 Hz, `enforce` not yet applied.

    strength: how widely this speaker opens the mouth. Louder vowels open the jaw further: from
    half at a standard deviation below the mean loudness to 1.35 times above it (JALI's jaw values
    .15, .45 and .8 against their middle).
    """
    count = len(prosody.loudness)
    times = (np.arange(count) + 0.5) / RATE
    gains = _jaw_gains(spans, prosody)
    held = poses(spans.phoneme, spans.start, spans.end)
    arkit = np.zeros((count, len(ARKIT)))
    for first, last in _phrases(spans):
        # Nothing of a phrase is seen outside of this, so only the inside is computed.
        near = slice(*np.searchsorted(times, [spans.start[first] - 0.2, spans.end[last] + 0.2]))
        within = [pose for pose in held if first <= pose.span <= last]
        clock = times[near]
        away = _distance(clock, spans.start[first], spans.end[last])
        reach = np.where(clock < spans.start[first], LEAD_AFTER_PAUSE, TRAIL)
        window = 0.5 + 0.5 * np.cos(np.pi * np.clip(away / reach, 0, 1))
        for g, (group, names) in enumerate(GROUPS.items()):
            pulls = np.stack(
                [_dominance(pose, spans, clock, group) * pose.weights[g] for pose in within]
            )
            pulls /= pulls.sum(0) + 1e-9
            for name in names:
                at = channels(name)
                targets = np.array([pose.target[at[0]] for pose in within])
                if name in ("jawOpen", "mouthLowerDown"):
                    targets *= [strength * gains[p.span] if p.vowel else 1.0 for p in within]
                arkit[near, at[0]] += targets @ pulls * window
                arkit[near, at[-1]] = arkit[near, at[0]]
    # Dominance has corners at the edges of sounds; muscles have not.
    arkit = np.clip(smooth(arkit, _SMOOTH), 0.0, 1.0)
    return Mouth(arkit, *(_windows(spans, times, kind) for kind in _RULES))


def enforce(arkit: Float[np.ndarray, "r 52"], mouth: Mouth) -> Float[np.ndarray, "r 52"]:
    """A face whose mouth obeys the rules, whatever was added to it (emotion): lips together for
    /p b m/, lower lip to the teeth for /f v/, jaw nearly closed for sibilants; in this order of
    priority, the first last."""
    out = arkit.copy()
    narrow = np.minimum(out[:, JAW], NARROW_JAW)
    out[:, JAW] += mouth.narrow * (narrow - out[:, JAW])
    for weight, target in ((0.9 * mouth.tuck, _TUCKED), (mouth.seal, _SEALED)):
        out[:, _MOUTH] += weight[:, None] * (target[_MOUTH] - out[:, _MOUTH])
    # mouthClose is measured from the open jaw, so equal values mean that the lips meet.
    out[:, CLOSE] = mouth.seal * out[:, JAW]
    return out


_TUCKED = vector(SHAPES["FF"])
_SEALED = vector(SHAPES["PP"] | {"jawOpen": SEALED_JAW, "mouthClose": SEALED_JAW})


def _jaw_gains(spans: Spans, prosody: Prosody) -> Float[np.ndarray, " p"]:
    """Factor of each span by how loud its middle is among the clip's vowels, and its stress."""
    vowels = np.array([PHONEMES[i] in VOWELS for i in spans.phoneme])
    middle = ((spans.start + spans.end) / 2 * RATE).astype(int)
    loud = smooth(prosody.loudness, 0.02)[np.clip(middle, 0, len(prosody.loudness) - 1)]
    if vowels.sum() < 2:
        return np.ones(len(vowels))
    among = loud[vowels]
    score = (loud - among.mean()) / max(float(among.std()), 1.5)
    gain = np.interp(score, [-1.0, 0.0, 1.0], [0.55, 1.0, 1.35])
    return gain * np.where(spans.stress == 2, 1.08, 0.96)


def _dominance(
    pose: Pose, spans: Spans, times: Float[np.ndarray, " r"], group: str
) -> Float[np.ndarray, " r"]:
    """exp(-decay * distance in time), the distance counted from the sound's middle part."""
    start, end, length = pose.start, pose.end, max(pose.end - pose.start, 0.025)
    if pose.name == "sil":
        # Too short for lips to come to rest: a comma dents the movement.
        return np.exp(-_DECAY["pause"] * np.abs(times - (start + end) / 2 + LEAD))
    kind = "vowel" if pose.vowel else "consonant"
    decay = _DECAY[kind] * (min(length, 0.12) / 0.09) ** -0.5
    inner = (start + 0.3 * length - LEAD, end - 0.3 * length - LEAD)
    if pose.span == 0 or spans.phoneme[pose.span - 1] == 0:
        inner = (start - LEAD, inner[1])  # its apex is at the sound's start
    if group == "round" and PHONEMES[spans.phoneme[pose.span]] in ROUNDED:
        inner = (inner[0] - _PROTRUSION, inner[1] + _PROTRUSION)
        decay = max(decay, _DECAY["consonant"])
    return np.exp(-decay * _distance(times, *inner))


def _phrases(spans: Spans) -> list[tuple[int, int]]:
    """First and last span of each stretch of sound between pauses in which lips come to rest."""
    rest = (spans.phoneme == 0) & (spans.end - spans.start >= LEAD_AFTER_PAUSE + TRAIL)
    edge = (0, len(rest) - 1)
    rest[[i for i in edge if spans.phoneme[i] == 0]] = True
    change = np.flatnonzero(np.diff(np.concatenate([[True], rest, [True]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(change[::2], change[1::2], strict=True)]


def _distance(times: np.ndarray, first: float, last: float) -> np.ndarray:
    return np.maximum(0.0, np.maximum(first - times, times - last))


class _Rule(NamedTuple):
    phonemes: frozenset
    before: float
    hold: float
    least: float
    ramp: float


_RULES = (
    # Lips meet before the sound's own start (stops are silent while closed) and part before its
    # end; 60 ms of full closure contain a frame at 25 fps, and the ramps give it a neighbour.
    _Rule(BILABIAL, 0.03, 0.7, 0.06, 0.085),
    _Rule(LABIODENTAL, 0.03, 0.85, 0.05, 0.07),
    _Rule(SIBILANT, 0.02, 0.9, 0.05, 0.06),
)


def _windows(spans: Spans, times: Float[np.ndarray, " r"], rule: _Rule) -> Float[np.ndarray, " r"]:
    """0 to 1 over time: 1 while a sound of the rule holds, cosine ramps on both sides."""
    out = np.zeros(len(times))
    for index, start, end in zip(spans.phoneme, spans.start, spans.end, strict=True):
        if PHONEMES[index] not in rule.phonemes:
            continue
        first = start - rule.before
        last = max(start + rule.hold * (end - start), first + rule.least)
        away = np.clip(_distance(times, first, last) / rule.ramp, 0, 1)
        out = np.maximum(out, 0.5 + 0.5 * np.cos(np.pi * away))
    return out
