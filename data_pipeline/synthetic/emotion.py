"""Emotions of a synthetic face: intensities, and the ARKit coefficients that they add."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.prosody import strongest
from vasa_jax.data_pipeline.synthetic.visemes import PLACE, vector
from vasa_jax.typing import ARKIT, EMOTIONS, Float

FACES: dict[str, dict[str, float]] = {
    "anger": {
        "browDown": 0.85,
        "eyeSquint": 0.3,
        "mouthPress": 0.3,
        "noseSneer": 0.4,
        "eyeWide": 0.2,
    },
    "contempt": {
        "mouthSmileLeft": 0.45,
        "mouthDimpleLeft": 0.5,
        "eyeSquint": 0.2,
        "browDownRight": 0.2,
    },
    "disgust": {"noseSneer": 0.7, "mouthUpperUp": 0.4, "mouthFrown": 0.35, "browDown": 0.3},
    "fear": {
        "browInnerUp": 0.7,
        "browOuterUp": 0.4,
        "browDown": 0.3,
        "eyeWide": 0.7,
        "mouthStretch": 0.4,
    },
    "happiness": {"mouthSmile": 0.85, "cheekSquint": 0.7, "eyeSquint": 0.4},
    "neutral": {},
    "sadness": {"browInnerUp": 0.75, "mouthFrown": 0.65, "browDown": 0.15},
    "surprise": {"browInnerUp": 0.7, "browOuterUp": 0.9, "eyeWide": 0.8},
}
"""A share of 1 of each emotion: the action units of Ekman & Friesen in ARKit's terms, the middle of
what open presets use. The jaw is left out: it belongs to speech. Contempt is one-sided (AU 12 and
14). Names without Left or Right stand for both sides."""
TALKING_UPPER, TALKING_MOUTH = 0.9, 0.65
"""Strength of an emotion while speaking, in brows and eyes, and in the mouth."""
NEUTRAL_SHARE = 0.3

LIVELIER = {"anger": 1.5, "happiness": 1.6, "sadness": 1.2, "surprise": 1.4, "fear": 1.3}
"""Head motion relative to neutral speech (Busso et al. 2007 measured more)."""
FLASHED = 0.4
"""Share of accents, the strongest, at which brows rise."""
_FLASH = 0.12, 0.4

_IS_MOUTH = np.array([name.startswith("mouth") for name in ARKIT])


def draw_emotion(rng: np.random.Generator) -> Float[np.ndarray, "8"]:
    """Shares of `EMOTIONS`, sum 1: neutral, or one emotion of 0.3 to 1 and the rest neutral; a
    quarter of those are mixed of two."""
    shares = np.zeros(len(EMOTIONS))
    neutral = EMOTIONS.index("neutral")
    if rng.random() >= NEUTRAL_SHARE:
        others = [i for i in range(len(EMOTIONS)) if i != neutral]
        first, second = rng.choice(others, 2, replace=False)
        strength = rng.uniform(0.3, 1.0)
        part = rng.uniform(0.55, 0.9) if rng.random() < 0.25 else 1.0
        shares[first], shares[second] = strength * part, strength * (1 - part)
    shares[neutral] = 1 - shares.sum()
    return shares


def expression(
    shares: Float[np.ndarray, "8"], talking: Float[np.ndarray, " r"]
) -> Float[np.ndarray, "r 52"]:
    """What is added to the face: shares times `FACES`, weaker while talking (0 to 1)."""
    full = sum(s * vector(FACES[name]) for s, name in zip(shares, EMOTIONS, strict=True))
    while_talking = np.where(_IS_MOUTH, TALKING_MOUTH, TALKING_UPPER)
    strength = 1 - talking[:, None] * (1 - while_talking)
    return strength * full


def liveliness(shares: Float[np.ndarray, "8"]) -> float:
    """Factor of the head's motion in speech."""
    return float(sum(s * LIVELIER.get(name, 1.0) for s, name in zip(shares, EMOTIONS, strict=True)))


def brow_flashes(
    rng: np.random.Generator,
    accents: Float[np.ndarray, " k"],
    strength: Float[np.ndarray, " k"],
    clock: Float[np.ndarray, " r"],
) -> Float[np.ndarray, "r 52"]:
    """Brows raised at the strongest accents: 60 ms before, for 300 to 600 ms, the higher and the
    longer the stronger they are (to a fifth by chance)."""
    out = np.zeros((len(clock), len(ARKIT)))
    if not len(accents):
        return out
    chosen, part = strongest(strength, FLASHED)
    for time, share in zip(accents[chosen], part, strict=True):
        width = np.interp(share, [0, 1], [0.3, 0.6])
        height = np.interp(share, [0, 1], _FLASH) * rng.uniform(0.8, 1.2)
        along = np.clip((clock - (time - 0.06)) / width, 0, 1)
        lift = height * np.sin(np.pi * along) ** 2
        for name, of in (("browInnerUp", 0.8), ("browOuterUpLeft", 1), ("browOuterUpRight", 1)):
            out[:, PLACE[name]] = np.maximum(out[:, PLACE[name]], of * lift)
    return out
