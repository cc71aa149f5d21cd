"""Lip sync: correlation, delay and phoneme-wise error of the mouth opening (lip aperture)."""

import numpy as np

from vasa_jax.typing import Float

PHONEME_CLASSES = {
    "p b m": frozenset("pbm"),
    "f v": frozenset("fv"),
    "rounded": frozenset(("u", "ʊ", "w", "ɔ", "oʊ", "əʊ", "ɔɪ")),
    "open": frozenset(("æ", "ɑ", "ɒ", "ʌ", "aɪ", "aʊ")),
    "pause": frozenset(("sil",)),
}
"""Visually distinct phoneme classes, in the IPA; any other phoneme is "other"."""
CLASSES = (*PHONEME_CLASSES, "other")
CLOSED_LIPS = 0.03
"""Aperture (distance of the inner lips / of the outer eye corners) below which lips are closed. By
the face mesh, closed lips and /p b m/ give 0.00 to 0.02, vowels 0.06 to 0.3 (three GRID sentences
of nine speakers)."""
SLACK = 1  # frames around a bilabial in which its closure may lie: labels are half a frame off
MIN_FRAMES = 5  # of a correlation


def phoneme_class(phoneme: str) -> str | None:
    """Class of a phoneme; None for the unknown one (the empty string)."""
    if not phoneme:
        return None
    return next((name for name, of in PHONEME_CLASSES.items() if phoneme in of), "other")


def correlation(a: Float[np.ndarray, " t"], b: Float[np.ndarray, " t"]) -> float:
    """Pearson's correlation over the frames where neither is NaN.

    NaN for fewer than `MIN_FRAMES` of them, or where one is constant.
    """
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < MIN_FRAMES:
        return float("nan")
    x, y = (np.asarray(v, np.float64)[known] for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    power = np.sqrt((x @ x) * (y @ y))
    # The rounded mean of a constant leaves a residue that is no variance.
    return float(x @ y / power) if power > 1e-12 * len(x) else float("nan")


def lagged_correlation(
    ours: Float[np.ndarray, " t"], truth: Float[np.ndarray, " t"], limit: int = 10
) -> Float[np.ndarray, " lags"]:
    """Correlation of ours, shifted back by each lag of -limit..limit frames, with the truth.

    Over the overlapping frames; NaN where they are too few.
    """
    values = []
    for lag in range(-limit, limit + 1):
        a = ours[max(lag, 0) : len(ours) + min(lag, 0)]
        b = truth[max(-lag, 0) : len(truth) - max(lag, 0)]
        values.append(correlation(a, b) if len(a) == len(b) else float("nan"))
    return np.array(values)


def audio_offset(correlations: Float[np.ndarray, " lags"]) -> float:
    """Delay of ours in frames: the lag of the highest correlation, negative if early.

    NaN where all correlations are NaN.
    """
    if not np.isfinite(correlations).any():
        return float("nan")
    return float(np.nanargmax(correlations) - len(correlations) // 2)


def segments(phonemes: tuple[str, ...], wanted: frozenset[str]) -> list[tuple[int, int]]:
    """Maximal runs [start, stop) of frames whose phoneme is in `wanted`."""
    inside = np.array([False, *(p in wanted for p in phonemes), False])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def closures(
    aperture: Float[np.ndarray, " t"],
    phonemes: tuple[str, ...],
    threshold: float = CLOSED_LIPS,
    slack: int = SLACK,
) -> Float[np.ndarray, " n"]:
    """For each run of /p b m/: 1 if the lips close, 0 if not, NaN where nothing was measured.

    They close if the aperture is below `threshold` in a frame of the run or `slack` frames around.
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
    """|aperture error| in the frames of each class, per cent of the eye corners' distance."""
    error = 100 * np.abs(np.asarray(ours, np.float64) - truth)
    kinds = np.array([phoneme_class(p) or "" for p in phonemes])
    return {name: error[kinds == name] for name in CLASSES}
