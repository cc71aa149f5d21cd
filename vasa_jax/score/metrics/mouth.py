"""Mouth opening: how far, how fast, how often, and whether it goes with the sound."""

import numpy as np

from vasa_jax.data_pipeline.prepare.sound import cut_sound, energy, frames_with_sound
from vasa_jax.evaluation.lip_sync import correlation
from vasa_jax.perception.face_statistics import lip_gap, mouth_statistics
from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.typing import Float

_GAP = "gap of the inner lips over the face's height, by the face mesh"
OPENING = {
    "mouth_amplitude": Spec(
        "mouth opening, 5th to 95th percentile",
        "of the face's height",
        "as the real videos",
        _GAP,
    ),
    "mouth_speed": Spec(
        "mouth speed", "of the face's height per second", "as the real videos", _GAP
    ),
    "mouth_openings": Spec("openings", "per second", "as the real videos", "peaks of the same"),
    "lips_together": Spec("lips together", "share", "as the real videos", _GAP),
}
LOUDNESS = {
    "mouth_loudness": Spec(
        "mouth opening and loudness, correlation",
        "",
        "as the real videos",
        "Pearson, decibels of each frame's sound",
    )
}
_NAMES = {
    "lip gap amplitude": "mouth_amplitude",
    "lip gap speed": "mouth_speed",
    "openings a second": "mouth_openings",
    "lips together": "lips_together",
}
MIN_FRAMES = 5


def opening(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Over the frames with a face. Raises NotMeasured below five of them."""
    found = track.found()
    if found.sum() < MIN_FRAMES:
        raise NotMeasured(f"fewer than {MIN_FRAMES} frames with a face")
    gap = lip_gap(track.landmarks[found].astype(np.float64))
    known = mouth_statistics(gap, [None] * len(gap))
    return {key: known[name] for name, key in _NAMES.items()}


def frame_loudness(waveform: Float[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
    """Decibels of each whole frame, -80 at least."""
    return energy(cut_sound(waveform, 0, frames_with_sound(waveform)))


def loudness(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Not defined where mouth or sound are constant."""
    track.found()
    heard = frame_loudness(track.sound())
    count = min(len(heard), track.frames)
    return {"mouth_loudness": correlation(track.faces.mouth[:count], heard[:count])}


MOUTH = Metric("mouth", OPENING, opening)
MOUTH_LOUDNESS = Metric("mouth and loudness", LOUDNESS, loudness)
