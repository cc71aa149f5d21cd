"""Does a model do as it is told, does it vary, and does it keep apart what it should."""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from vasa_jax.evaluation.angles import pose_error
from vasa_jax.typing import POSE_DIM, Float


class Response(NamedTuple):
    """correlation: Pearson's, of command and answer. monotonic: share of the steps from one
    command to the next larger in which the answer grows; a step from or to an answer that could
    not be read is none. slope: answer per command (least squares). NaN where fewer than three
    answers are known; the correlation also where they never change (the slope is 0 then)."""

    correlation: float
    monotonic: float
    slope: float


def response(commands: Float[np.ndarray, " n"], answers: Float[np.ndarray, " n"]) -> Response:
    """How the answers follow the commands, which all differ. NaN is an answer that is not known."""
    order = np.argsort(commands, kind="stable")
    x, y = (np.asarray(v, np.float64)[order] for v in (commands, answers))
    known = np.isfinite(y)
    if known.sum() < 3:
        return Response(float("nan"), float("nan"), float("nan"))
    dx, dy = x[known] - x[known].mean(), y[known] - y[known].mean()
    slope = float(dx @ dy / (dx @ dx))
    power = np.sqrt((dx @ dx) * (dy @ dy))
    together = float(dx @ dy / power) if power > 1e-12 * len(dx) else float("nan")
    return Response(together, float((np.diff(y) > 0).mean()), slope)


class Diversity(NamedTuple):
    """pose: mean angle between the heads of two samples, degrees. dyn: root mean square difference
    of their z_dyn, in standard deviations of the training motion."""

    pose: float
    dyn: float


def diversity(motions: Float[np.ndarray, "seeds t m"], std: Float[np.ndarray, " m"]) -> Diversity:
    """How different samples of one clip are, over all pairs of seeds and all frames.

    0 for a model that knows one answer only. motions: [pose, z_dyn] in the face model's units.
    Raises ValueError for fewer than two samples.
    """
    if len(motions) < 2:
        raise ValueError("diversity needs two samples or more")
    pairs = list(combinations(range(len(motions)), 2))
    angles = [pose_error(motions[i][:, :3], motions[j][:, :3]).mean() for i, j in pairs]
    dyn = motions[..., POSE_DIM:] / std[POSE_DIM:]
    squares = [np.square(dyn[i].astype(np.float64) - dyn[j]).mean() for i, j in pairs]
    return Diversity(float(np.mean(angles)), float(np.sqrt(np.mean(squares))))


def dyn_change(
    a: Float[np.ndarray, "t k"], b: Float[np.ndarray, "t k"], std: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " t"]:
    """Distance of two dynamics codes: root mean square over their axes, each in its own `std`."""
    return np.sqrt(np.square((np.asarray(a, np.float64) - b) / std).mean(-1))
