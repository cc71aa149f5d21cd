"""Does the mouth say what is heard: openings, closures and delays."""

import numpy as np

from vasa_jax.typing import Float

PHONEME_CLASSES = {
    "p b m": frozenset("pbm"),
    "f v": frozenset("fv"),
    "rounded": frozenset(("u", "ʊ", "w", "ɔ", "oʊ", "əʊ", "ɔɪ")),
    "open": frozenset(("æ", "ɑ", "ɒ", "ʌ", "aɪ", "aʊ")),
    "pause": frozenset(("sil",)),
}
"""Classes that a lip reader tells apart; every other sound is "other". Letters of the IPA."""
CLASSES = (*PHONEME_CLASSES, "other")
CLOSED_LIPS = 0.03
"""Inner lips nearer than this share of the outer eye corners' distance count as closed. Read by the
mesh network from nine talking heads, shut lips and every /p b m/ of three GRID sentences gave 0.00
to 0.02, lips that speak vowels 0.06 to 0.3."""
SLACK = 1
"""Frames around a closed sound in which its closure may fall: half a frame is its labels' grain."""
LEAST_FRAMES = 5


def phoneme_class(phoneme: str) -> str | None:
    """The class of a phoneme; None where it is not known (the empty string)."""
    if not phoneme:
        return None
    return next((name for name, of in PHONEME_CLASSES.items() if phoneme in of), "other")


def correlation(a: Float[np.ndarray, " t"], b: Float[np.ndarray, " t"]) -> float:
    """Pearson's correlation of the frames where both are known (not NaN).

    NaN for fewer than `LEAST_FRAMES` of them, or where one does not change.
    """
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < LEAST_FRAMES:
        return float("nan")
    x, y = (np.asarray(v, np.float64)[known] for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    power = np.sqrt((x @ x) * (y @ y))
    # A constant's mean is off by rounding, which must not count as movement.
    return float(x @ y / power) if power > 1e-12 * len(x) else float("nan")


def lagged_correlation(
    ours: Float[np.ndarray, " t"], truth: Float[np.ndarray, " t"], limit: int = 10
) -> Float[np.ndarray, " lags"]:
    """Correlation of ours, moved back by each lag of -limit..limit frames, with the truth.

    Over the frames that overlap; NaN where too few do.
    """
    values = []
    for lag in range(-limit, limit + 1):
        a = ours[max(lag, 0) : len(ours) + min(lag, 0)]
        b = truth[max(-lag, 0) : len(truth) - max(lag, 0)]
        values.append(correlation(a, b) if len(a) == len(b) else float("nan"))
    return np.array(values)


def audio_offset(correlations: Float[np.ndarray, " lags"]) -> float:
    """By how many frames ours is late: the lag of the highest correlation; < 0 is early.

    NaN where no lag has one.
    """
    if not np.isfinite(correlations).any():
        return float("nan")
    return float(np.nanargmax(correlations) - len(correlations) // 2)


def segments(phonemes: tuple[str, ...], wanted: frozenset[str]) -> list[tuple[int, int]]:
    """Runs [start, stop) of frames whose phoneme is in `wanted`, neighbours of one kind joined."""
    inside = np.array([False, *(p in wanted for p in phonemes), False])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def closures(
    aperture: Float[np.ndarray, " t"],
    phonemes: tuple[str, ...],
    threshold: float = CLOSED_LIPS,
    slack: int = SLACK,
) -> Float[np.ndarray, " n"]:
    """For each run of /p b m/: 1 if the lips close in it, 0 if not; NaN where nothing was measured.

    aperture: distance of the inner lips over that of the outer eye corners; closed is below
    `threshold` in any frame of the run or `slack` frames around it.
    """
    found = []
    for start, stop in segments(phonemes, PHONEME_CLASSES["p b m"]):
        part = aperture[max(start - slack, 0) : stop + slack]
        known = part[np.isfinite(part)]
        found.append(float(known.min() < threshold) if len(known) else float("nan"))
    return np.array(found, np.float64)


def aperture_errors(
    ours: Float[np.ndarray, " t"], truth: Float[np.ndarray, " t"], phonemes: tuple[str, ...]
) -> dict[str, Float[np.ndarray, " n"]]:
    """|difference| of the lip aperture in each class's frames, per cent of the eyes' distance."""
    error = 100 * np.abs(np.asarray(ours, np.float64) - truth)
    kinds = np.array([phoneme_class(p) or "" for p in phonemes])
    return {name: error[kinds == name] for name in CLASSES}
