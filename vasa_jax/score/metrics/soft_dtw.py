"""Soft-DTW of mouth and head pose against the real counterpart (Cuturi and Blondel 2017).

Motion is aligned in time before it is compared, so that a nod or a word half a second late costs
less than one that is missing. The divergence (Blondel et al. 2021) is 0 for equal sequences.
"""

from collections.abc import Callable

import numpy as np

from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.typing import Float

_SOURCE = "soft-DTW divergence by ott-jax, over parts of 10 s, a frame"
SPECS = {
    "soft_dtw_mouth": Spec(
        "soft-DTW of the mouth", "squared z-scores of the real one", "0", f"{_SOURCE}; gamma 0.1"
    ),
    "soft_dtw_pose": Spec("soft-DTW of the head's angles", "deg^2", "0", f"{_SOURCE}; gamma 1"),
}
PART, LEAST = 250, 10  # frames
GAMMAS = {"soft_dtw_mouth": 0.1, "soft_dtw_pose": 1.0}

Divergence = Callable[[np.ndarray, np.ndarray, float], float]


def divergence() -> Divergence:
    """A function from two sequences (t, k) and gamma to their soft-DTW divergence, by ott-jax."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jaxopt, which ott-jax imports
        from ott.geometry.costs import SoftDTW
    import jax

    compiled = jax.jit(lambda a, b, gamma: SoftDTW(gamma, debiased=True)(a, b))
    return lambda a, b, gamma: float(compiled(np.float32(a), np.float32(b), np.float32(gamma)))


def measure(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Over the frames in which both have a face.

    Raises NotMeasured below `LEAST` of them; a real mouth that never moves has no z-scores.
    """
    assert reference is not None
    count = min(track.frames, reference.frames)
    seen = (track.found()[:count]) & (reference.found()[:count])
    if seen.sum() < LEAST:
        raise NotMeasured(f"fewer than {LEAST} frames in which both have a face")
    of = tools("soft-dtw")
    ours, real = track.faces, reference.faces
    mouth = [m[:count][seen, None] for m in (ours.mouth, real.mouth)]
    pose = [np.degrees(m[:count][seen]) for m in (ours.rotation, real.rotation)]
    spread = float(mouth[1].std())
    if spread > 1e-6:
        mouth = [(m - mouth[1].mean()) / spread for m in mouth]
    else:
        mouth = [np.full_like(m, np.nan) for m in mouth]
    return {
        key: _by_parts(of, pair[0], pair[1], GAMMAS[key])
        for key, pair in (("soft_dtw_mouth", mouth), ("soft_dtw_pose", pose))
    }


def _by_parts(
    of: Divergence, a: Float[np.ndarray, "t k"], b: Float[np.ndarray, "t k"], gamma: float
) -> float:
    """Sum over parts of `PART` frames, by the number of frames; a short rest joins the last."""
    starts = list(range(0, len(a), PART))
    if len(starts) > 1 and len(a) - starts[-1] < PART:
        starts.pop()
    bounds = zip(starts, [*starts[1:], len(a)], strict=True)
    return sum(of(a[i:j], b[i:j], gamma) for i, j in bounds) / len(a)


SOFT_DTW = Metric("soft-DTW", SPECS, measure, paired=True)
