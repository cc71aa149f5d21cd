"""Visemes: fifteen mouth shapes in ARKit coefficients, and the phonemes that they show.

Which phoneme takes which shape follows the Oculus viseme set (Meta's viseme reference; SAPI's
SPVISEMES and MPEG-4's table agree but for details). Each weight lies within the ranges of the
open tables that were compared (OpenFaceFX and three further ones): no vendor publishes its own.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.phonemes import PHONEMES
from vasa_jax.typing import ARKIT, Float, Int

PLACE = {name: i for i, name in enumerate(ARKIT)}

SHAPES: dict[str, dict[str, float]] = {
    "sil": {},
    "PP": {"mouthPress": 0.5, "mouthRollLower": 0.2, "mouthRollUpper": 0.2},
    "FF": {"mouthRollLower": 0.45, "mouthUpperUp": 0.22, "mouthShrugLower": 0.3, "jawOpen": 0.08},
    "TH": {"jawOpen": 0.15, "tongueOut": 0.35, "mouthLowerDown": 0.15},
    "DD": {"jawOpen": 0.18, "mouthLowerDown": 0.15},
    "kk": {"jawOpen": 0.24, "mouthLowerDown": 0.12},
    "CH": {"mouthFunnel": 0.55, "mouthPucker": 0.25, "jawOpen": 0.15},
    "SS": {"jawOpen": 0.06, "mouthStretch": 0.3, "mouthUpperUp": 0.15, "mouthLowerDown": 0.2},
    "nn": {"jawOpen": 0.15, "mouthLowerDown": 0.12},
    "RR": {"mouthPucker": 0.35, "mouthFunnel": 0.3, "jawOpen": 0.15},
    "aa": {"jawOpen": 0.6, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "E": {"jawOpen": 0.32, "mouthStretch": 0.35, "mouthSmile": 0.15},
    "I": {"jawOpen": 0.15, "mouthStretch": 0.42, "mouthSmile": 0.25},
    "O": {"mouthFunnel": 0.62, "mouthPucker": 0.3, "jawOpen": 0.38},
    "U": {"mouthPucker": 0.78, "mouthFunnel": 0.35, "jawOpen": 0.12},
}
"""Full strength of each shape. A name without Left or Right stands for both sides."""

VISEMES: dict[str, tuple[tuple[str, float], ...]] = {
    "sil": (("sil", 1.0),),
    **dict.fromkeys(("p", "b", "m"), (("PP", 1.0),)),
    **dict.fromkeys(("f", "v"), (("FF", 1.0),)),
    **dict.fromkeys(("θ", "ð"), (("TH", 1.0),)),
    **dict.fromkeys(("t", "d", "ɾ"), (("DD", 1.0),)),
    **dict.fromkeys(("n", "l"), (("nn", 1.0),)),
    **dict.fromkeys(("k", "ɡ", "ŋ"), (("kk", 1.0),)),
    **dict.fromkeys(("tʃ", "dʒ", "ʃ", "ʒ"), (("CH", 1.0),)),
    **dict.fromkeys(("s", "z"), (("SS", 1.0),)),
    **dict.fromkeys(("ɹ", "ɜ"), (("RR", 1.0),)),
    **dict.fromkeys(("ɑ", "æ", "ʌ"), (("aa", 1.0),)),
    "ə": (("aa", 0.4),),
    "ɛ": (("E", 1.0),),
    "i": (("I", 1.0),),
    "ɪ": (("I", 0.7),),
    "j": (("I", 0.7),),
    **dict.fromkeys(("ɔ", "ɒ"), (("O", 1.0),)),
    **dict.fromkeys(("oʊ", "əʊ"), (("O", 1.0), ("U", 1.0))),
    **dict.fromkeys(("u", "w"), (("U", 1.0),)),
    "ʊ": (("U", 0.7),),
    "aʊ": (("aa", 1.0), ("U", 1.0)),
    "ɔɪ": (("O", 1.0), ("I", 1.0)),
    "aɪ": (("aa", 1.0), ("I", 1.0)),
    "eɪ": (("E", 1.0), ("I", 1.0)),
    "h": (),
    "ʔ": (),
}
"""Shapes of each phoneme, one after the other, with their strengths. None: the next vowel's."""

FIRST_SHARE = 0.6
"""Of a diphthong's time, for its first vowel (Rhubarb Lip Sync)."""

GROUPS = {
    "jaw": ("jawOpen",),
    "round": ("mouthPucker", "mouthFunnel"),
    "lips": (
        "mouthPress",
        "mouthRollLower",
        "mouthRollUpper",
        "mouthUpperUp",
        "mouthShrugLower",
        "mouthLowerDown",
        "mouthStretch",
        "mouthSmile",
        "mouthClose",
    ),
    "tongue": ("tongueOut",),
}

DOMINANCE: dict[str, tuple[float, float, float, float]] = {
    "sil": (0.9, 0.5, 0.6, 0.5),
    "PP": (0.6, 0.25, 1.0, 0.5),
    "FF": (0.6, 0.3, 1.0, 0.5),
    "TH": (0.45, 0.1, 0.5, 1.0),
    "DD": (0.35, 0.06, 0.25, 0.6),
    "kk": (0.3, 0.06, 0.15, 0.2),
    "CH": (0.8, 1.0, 0.6, 0.5),
    "SS": (1.0, 0.06, 0.6, 0.5),
    "nn": (0.35, 0.06, 0.2, 0.5),
    "RR": (0.5, 0.7, 0.3, 0.3),
    "aa": (1.0, 0.5, 0.6, 0.3),
    "E": (1.0, 0.7, 0.7, 0.3),
    "I": (1.0, 0.8, 0.8, 0.3),
    "O": (1.0, 1.0, 0.6, 0.3),
    "U": (1.0, 1.0, 0.6, 0.3),
}
"""How firmly each shape claims jaw, rounding, other lip movements and tongue. Fixed points: u 1.0
and s, t 0.06 on protrusion (Cohen & Massaro 1993); l n t d k g never shape the lips (JALI)."""


class Pose(NamedTuple):
    """One held shape."""

    name: str  # of `SHAPES`
    target: Float[np.ndarray, "52"]
    weights: Float[np.ndarray, "4"]  # of `DOMINANCE`
    start: float
    end: float
    span: int  # index of the span of its phoneme
    vowel: bool  # whether loudness opens it further


def channels(name: str) -> list[int]:
    """Places in ARKIT of a coefficient, or of both sides of a pair."""
    return [PLACE[n] for n in (name, f"{name}Left", f"{name}Right") if n in PLACE]


def vector(shape: dict[str, float]) -> Float[np.ndarray, "52"]:
    """(52,) coefficients of a shape in the short names of `SHAPES`. KeyError for unknown names."""
    out = np.zeros(len(ARKIT))
    for name, value in shape.items():
        found = channels(name)
        if not found:
            raise KeyError(name)
        out[found] = value
    return out


def poses(
    phoneme: Int[np.ndarray, " p"], start: Float[np.ndarray, " p"], end: Float[np.ndarray, " p"]
) -> list[Pose]:
    """The shapes of a row of phonemes in time: diphthongs are two, h is the vowel after it."""
    names = [PHONEMES[i] for i in phoneme]
    out: list[Pose] = []
    for i, name in enumerate(names):
        shapes, share = VISEMES[name], 1.0
        if not shapes:
            later = next((VISEMES[n] for n in names[i + 1 : i + 3] if VISEMES[n]), ())
            shapes, share = later[:1] or (("sil", 1.0),), 0.4
        cut = start[i] + FIRST_SHARE * (end[i] - start[i])
        edges = (start[i], end[i]) if len(shapes) == 1 else (start[i], cut, end[i])
        for k, (shape, strength) in enumerate(shapes):
            weights = share * np.array(DOMINANCE[shape])
            if name == "ə":
                weights = weights * 0.5
            out.append(
                Pose(
                    shape,
                    strength * vector(SHAPES[shape]),
                    weights,
                    float(edges[k]),
                    float(edges[k + 1]),
                    i,
                    shape in ("aa", "E", "I", "O", "U"),
                )
            )
    return out
