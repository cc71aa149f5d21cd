"""SyncNet's confidence, distance and offset from embeddings of lips and of sound.

As `SyncNetInstance.evaluate` of joonson/syncnet_python computes them (SC and SD of VASA-1's table;
LSE-C and LSE-D of Wav2Lip, Sync-C and Sync-D of later papers are the same two figures).
"""

import math
from typing import NamedTuple

import numpy as np

from vasa_jax.typing import Float

__all__ = ["EPS", "NOT_MEASURED", "VSHIFT", "SyncScore", "mean_distances", "score_of", "sync_score"]

VSHIFT = 15
"""Frames that the sound is shifted to either side: SyncNet's command line."""
EPS = 1e-6
"""`torch.nn.functional.pairwise_distance` adds it to each difference before the norm."""
_BLOCK = 4096


class SyncScore(NamedTuple):
    """How well lips and sound agree; NaN and 0 where that cannot be measured."""

    confidence: float  # median less minimum of the mean distances over all shifts
    distance: float  # the minimum
    # Frames of 25 fps by which the sound is ahead of the lips, at the minimum: negative where it is
    # late.
    offset: int

    @property
    def measured(self) -> bool:
        """Whether these are figures."""
        return math.isfinite(self.distance)


NOT_MEASURED = SyncScore(math.nan, math.nan, 0)


def mean_distances(
    lips: Float[np.ndarray, "t e"],
    sounds: Float[np.ndarray, "t e"],
    vshift: int = VSHIFT,
    padded: bool = True,
) -> Float[np.ndarray, " shifts"]:
    """Mean distance of lips i and sound i + k over i, for k = -vshift..vshift.

    padded: sound beyond the clip's ends is a vector of zeros, whose distance counts as any other
    (SyncNet); else pairs beyond the ends are left out. NaN for shifts without a pair.
    """
    count, means = len(lips), []
    beyond = _norms(lips, None)
    for shift in range(-vshift, vshift + 1):
        start = min(max(0, -shift), count)
        stop = max(min(count, count - shift), start)
        pairs = _norms(lips[start:stop], sounds[start + shift : stop + shift])
        if padded:
            pairs = np.concatenate([beyond[:start], pairs, beyond[stop:]])
        means.append(pairs.mean() if len(pairs) else math.nan)
    return np.array(means)


def _norms(a: np.ndarray, b: np.ndarray | None) -> Float[np.ndarray, " t"]:
    """|a - b + eps| of rows in float64; b None is zeros. In blocks, for hours of video."""
    found = np.empty(len(a))
    for at in range(0, len(a), _BLOCK):
        part = a[at : at + _BLOCK].astype(np.float64) + EPS
        if b is not None:
            part -= b[at : at + _BLOCK]
        found[at : at + _BLOCK] = np.sqrt(np.square(part).sum(1))
    return found


def score_of(means: Float[np.ndarray, " shifts"]) -> SyncScore:
    """The three figures of the mean distances at shifts -n..n; `NOT_MEASURED` if any is NaN.

    SyncNet's median is torch's, the lower of two middle ones; of an odd number they are the same.
    """
    if not np.isfinite(means).all():
        return NOT_MEASURED
    best = int(np.argmin(means))
    distance = float(means[best])
    return SyncScore(float(np.median(means)) - distance, distance, len(means) // 2 - best)


def sync_score(
    lips: Float[np.ndarray, "t e"], sounds: Float[np.ndarray, "t e"], vshift: int = VSHIFT
) -> SyncScore:
    """The published definition: zeros pad the sound by `vshift` on both ends.

    `NOT_MEASURED` for a clip without frames.
    """
    return score_of(mean_distances(lips, sounds, vshift)) if len(lips) else NOT_MEASURED
