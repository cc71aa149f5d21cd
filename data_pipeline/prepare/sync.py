"""Lag and correlation between mouth opening and loudness: a sanity check, no lip-sync metric.

The opening of the lips follows the loudness of speech, loosely: where the correlation over time has
one clear peak far from lag 0, the sound was shifted; where it has none, nothing is said. On 52
clips of 29 real videos none is refused, 6 are with their sound shifted by 10 frames, and none of
452 pairs of a picture with another's sound: it finds what is plain only.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.typing import Float

LAGS = 15
"""Lags looked at, in frames to either side."""
CLEAR = 0.4
"""Correlations below this are inconclusive (closed lips, music)."""
AHEAD = 0.15
"""By how much the peak must exceed the best correlation at allowed lags."""
SIGMAS = 3.5
"""How many times what chance gives the peak must be; with 31 lags to choose from, 3 are common."""
STILL = 0.01
"""A mouth whose opening varies less (standard deviation, shares of the face's height) is still."""
_LIPS, _FACE = (13, 14), (10, 152)


class Sync(NamedTuple):
    """Synchronisation of audio and mouth in a clip."""

    lag: int  # frames by which the sound comes after the mouth, at the highest correlation
    correlation: float  # at that lag
    at_zero: float  # the highest within the allowed lags
    # Standard deviation of the correlation of two unrelated tracks as smooth as these.
    chance: float
    moving: float  # standard deviation of the mouth's opening, shares of the face's height


def mouth_opening(landmarks: Float[np.ndarray, "t 478 3"]) -> Float[np.ndarray, " t"]:
    """Distance of the inner lips over the height of the face, both in the picture's plane."""
    points = landmarks[..., :2].astype(np.float64)
    gap = np.linalg.norm(points[:, _LIPS[0]] - points[:, _LIPS[1]], axis=-1)
    height = np.linalg.norm(points[:, _FACE[0]] - points[:, _FACE[1]], axis=-1)
    return (gap / np.maximum(height, 1e-6)).astype(np.float32)


def measure(
    opening: Float[np.ndarray, " t"], loudness: Float[np.ndarray, " t"], allowed: int = 5
) -> Sync:
    """Correlate opening and loudness (dB per frame) at every lag that leaves 20 frames or more."""
    moving = float(opening.std())
    mouth, sound = _slow_away(opening), _slow_away(loudness)
    reach = min(LAGS, len(mouth) - 20)
    if reach < 0:
        return Sync(0, 0.0, 0.0, 1.0, moving)
    scores = {}
    for lag in range(-reach, reach + 1):
        a = mouth[max(0, -lag) : len(mouth) - max(0, lag)]
        b = sound[max(0, lag) : len(sound) - max(0, -lag)]
        scores[lag] = _correlation(a, b)
    best = max(scores, key=scores.__getitem__)
    near = max(v for lag, v in scores.items() if abs(lag) <= allowed)
    return Sync(best, scores[best], near, _chance(mouth, sound), moving)


def judge(sync: Sync, allowed: int, need_moving_mouth: bool = False) -> str:
    """Why a clip is to be discarded, '' for none. allowed: frames the sound may be off."""
    if need_moving_mouth and sync.moving < STILL:
        return "mouth does not move"
    clear = (
        sync.correlation >= max(CLEAR, SIGMAS * sync.chance)
        and sync.correlation - sync.at_zero >= AHEAD
    )
    return "sound out of sync" if clear and abs(sync.lag) > allowed else ""


def _slow_away(x: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """x, lightly smoothed, less its mean over one second: a slow drift correlates with any."""
    x = np.asarray(x, np.float64)
    smooth = _mean_over(x, 3)
    return (smooth - _mean_over(smooth, 25)).astype(np.float64)


def _mean_over(x: np.ndarray, width: int) -> np.ndarray:
    total = np.cumsum(np.pad(x, (1, 0)))
    index = np.arange(len(x))
    low = np.maximum(index - width // 2, 0)
    high = np.minimum(index + width // 2 + 1, len(x))
    return (total[high] - total[low]) / (high - low)


def _chance(a: np.ndarray, b: np.ndarray) -> float:
    """Bartlett's formula: the variance of r is the sum over k of rho_a(k) rho_b(k), over n."""
    reach = min(2 * LAGS, len(a) - 2)
    products = [1.0]
    for k in range(1, reach + 1):
        products.append(2 * _correlation(a[k:], a[:-k]) * _correlation(b[k:], b[:-k]))
    return float(np.sqrt(max(sum(products), 1.0) / len(a)))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 1e-9 else 0.0
