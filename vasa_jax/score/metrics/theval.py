"""Four figures of THEval (Quignon et al., arXiv 2511.04520) that need only weights that ship.

The definitions are theirs; the landmarks are those of the same mesh model in another runtime, at 25
fps. Where their instruments differ among themselves (refined and unrefined mesh, red and blue
swapped in one) all here read one refined mesh of RGB frames.
"""

from itertools import pairwise

import numpy as np

from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.typing import FPS, SAMPLE_RATE, Float

_SOURCE = "THEval, arXiv 2511.04520"
MOTION = {
    "lip_dynamics": Spec(
        "lip dynamics",
        "px of 256",
        "as the real videos",
        f"{_SOURCE}: spread over time of the distances of all pairs of 40 lip points",
    ),
    "eyebrow_dynamics": Spec(
        "eyebrow dynamics",
        "of the eyes' distance per frame",
        "as the real videos",
        f"{_SOURCE}: mean change a frame of the brows' distance from the eyes",
    ),
}
SOUND = {
    "silent_lip_stability": Spec(
        "silent lip stability",
        "of the eyes' distance",
        "as the real videos",
        f"{_SOURCE}: median deviation of the inner lips' gap in silences of 0.3 s or more",
    ),
    "theval_lip_sync": Spec(
        "lip sync of THEval",
        "",
        "as the real videos",
        f"{_SOURCE}: mean difference of gap and loudness in speech, both scaled to 0..1",
    ),
}
LIPS = (
    *(0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181),
    *(185, 191, 267, 269, 270, 291, 308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402),
    *(405, 409, 415),
)
UPPER, LOWER = (191, 80, 81, 82, 13, 312, 311, 310), (95, 88, 178, 87, 14, 317, 402, 318)
LEFT_BROW = (276, 282, 283, 285, 293, 295, 296, 300, 334, 336)
RIGHT_BROW = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107)
LEFT_EYE = (249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466)
RIGHT_EYE = (7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246)
EYE_CORNERS = (33, 263)
SQUARE = 256
"""Side of the picture in which lips are measured, whatever the video's proportions."""
MIN_SILENCE = 0.3
"""Seconds."""
MIN_SPEECH = 0.1
"""Least share of frames with speech for their lip sync."""
HOP = 0.05
"""Seconds of a step of the loudness."""
_BLOCK = 512  # frames

Segments = list[tuple[float, float]]
"""Speech as (start, end) in seconds."""


def motion(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Lips and brows over the frames with a face."""
    marks = track.landmarks[track.found()]
    if len(marks) < 2:
        raise NotMeasured("a face in two frames or more is needed")
    return {
        "lip_dynamics": lip_dynamics(in_square(marks, track.size)),
        "eyebrow_dynamics": eyebrow_dynamics(marks),
    }


def sound(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Lips in silence and in speech, by Silero's voice activity."""
    track.found()
    waveform = track.sound()
    speech = tools("vad")(waveform)
    marks = in_square(np.asarray(track.landmarks), track.size)
    return {
        "silent_lip_stability": silent_lip_stability(marks, speech),
        "theval_lip_sync": lip_sync(marks, waveform, speech),
    }


def in_square(
    landmarks: Float[np.ndarray, "t 478 3"], size: tuple[int, int]
) -> Float[np.ndarray, "t 478 2"]:
    """Landmarks in a picture that is stretched to 256 x 256 px."""
    return landmarks[..., :2] * (np.float32(SQUARE) / np.array(size, np.float32))


def lip_dynamics(marks: Float[np.ndarray, "t 478 2"]) -> float:
    """Mean over all pairs of lip points of the standard deviation over time of their distance."""
    rows, columns = np.triu_indices(len(LIPS), 1)
    shift, total, squares = None, 0.0, 0.0
    for start in range(0, len(marks), _BLOCK):
        points = marks[start : start + _BLOCK][:, LIPS].astype(np.float64)
        distance = np.linalg.norm(points[:, rows] - points[:, columns], axis=-1)
        shift = distance[0] if shift is None else shift  # sums of small numbers lose no digits
        total = total + (distance - shift).sum(0)
        squares = squares + np.square(distance - shift).sum(0)
    variance = squares / len(marks) - np.square(total / len(marks))
    return float(np.sqrt(np.maximum(variance, 0)).mean())


def eyebrow_dynamics(marks: Float[np.ndarray, "t 478 c"]) -> float:
    """Mean |change a frame| of brow centre to eye centre, over the eye centres' distance."""

    def centre(points: tuple[int, ...]) -> np.ndarray:
        return marks[:, points, :2].astype(np.float64).mean(1)

    left, right = centre(LEFT_EYE), centre(RIGHT_EYE)
    between = np.linalg.norm(left - right, axis=1)
    seen = between >= 1e-3
    sides = ((LEFT_BROW, left), (RIGHT_BROW, right))
    changes = [
        np.abs(np.diff((np.linalg.norm(centre(brow) - eye, axis=1) / between)[seen]))
        for brow, eye in sides
    ]
    pooled = np.concatenate(changes)
    return float(pooled.mean()) if len(pooled) else float("nan")


def speech_frames(speech: Segments, count: int) -> np.ndarray:
    """(count,) bool: frames from that of each start to that of each end, both included."""
    spoken = np.zeros(count, bool)
    for start, end in speech:
        spoken[int(start * FPS) : int(end * FPS) + 1] = True
    return spoken


def silences(spoken: np.ndarray) -> np.ndarray:
    """(t,) bool: frames of the runs without speech that last `MIN_SILENCE` or longer."""
    quiet = np.zeros(len(spoken), bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[1], spoken.astype(int), [1]])))
    for start, stop in pairwise(edges):
        if not spoken[start] and stop - start >= MIN_SILENCE * FPS:
            quiet[start:stop] = True
    return quiet


def silent_lip_stability(marks: Float[np.ndarray, "t 478 2"], speech: Segments) -> float:
    """Median |gap - mean gap| over the silences; NaN without two frames of them with a face."""
    marks = marks[silences(speech_frames(speech, len(marks)))].astype(np.float64)
    eyes = np.linalg.norm(marks[:, EYE_CORNERS[0]] - marks[:, EYE_CORNERS[1]], axis=1)
    seen = eyes >= 1e-3  # false for NaN
    gaps = np.abs(marks[:, UPPER, 1] - marks[:, LOWER, 1]).mean(1)[seen] / eyes[seen]
    return float(np.median(np.abs(gaps - gaps.mean()))) if len(gaps) >= 2 else float("nan")


def lip_sync(
    marks: Float[np.ndarray, "t 478 2"], waveform: Float[np.ndarray, " n"], speech: Segments
) -> float:
    """Mean |gap - loudness| over the frames of speech, each scaled to 0..1 over them.

    gap: of the inner lips' mean heights over the horizontal distance of the eyes' centres. NaN
    where less than a tenth of the frames is speech, or fewer than two have a face.
    """
    spoken = speech_frames(speech, len(marks))

    def mean(points: tuple[int, ...], axis: int) -> np.ndarray:
        return marks[:, points, axis].mean(1, dtype=np.float64)

    gap = np.abs(mean(UPPER, 1) - mean(LOWER, 1))
    eyes = np.abs(mean((362, 263), 0) - mean((33, 133), 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(eyes > 0, gap / eyes, np.nan)
    used = spoken & np.isfinite(gap)
    if spoken.mean() < MIN_SPEECH or used.sum() < 2:
        return float("nan")
    loud = loudness(waveform, np.arange(len(marks)) / FPS)
    return float(np.abs(_scaled(gap[used]) - _scaled(loud[used])).mean())


def loudness(
    waveform: Float[np.ndarray, " n"], times: Float[np.ndarray, " t"]
) -> Float[np.ndarray, " t"]:
    """Root mean squares about every 50 ms (librosa's, zeros beyond the ends), linear between."""
    hop = int(SAMPLE_RATE * HOP)
    padded = np.pad(np.asarray(waveform, np.float64), hop // 2)
    blocks = padded[: len(padded) // hop * hop].reshape(-1, hop)
    level = np.sqrt(np.square(blocks).mean(1))
    return np.interp(times, np.arange(len(level)) * hop / SAMPLE_RATE, level)


def _scaled(x: np.ndarray) -> np.ndarray:
    return (x - x.min()) / (x.max() - x.min() + 1e-8)


THEVAL_MOTION = Metric("THEval's motion", MOTION, motion)
THEVAL_SOUND = Metric("THEval's lips and sound", SOUND, sound)
