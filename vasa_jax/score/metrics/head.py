"""Head motion: VASA-1's pose intensity in three norms, spread, and THEval's formula."""

import numpy as np

from vasa_jax.evaluation.pose_metrics import NORMS, delta_pose
from vasa_jax.perception.face_statistics import head_statistics
from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.typing import Float

_DELTA = "VASA-1 section 4.2, which names neither norm, unit nor pose reader"
_SPREAD = "standard deviation of the smoothed angle over the video"
SPECS = {
    "delta_pose_geodesic": Spec("ΔP, angle", "deg per frame", "as the real videos", _DELTA),
    "delta_pose_l1": Spec(
        "ΔP, mean of the three angles' changes", "deg per frame", "as the real videos", _DELTA
    ),
    "delta_pose_l2": Spec(
        "ΔP, length of the three angles' changes", "deg per frame", "as the real videos", _DELTA
    ),
    "head_speed": Spec(
        "head speed, smoothed over 5 frames",
        "deg per frame",
        "as the real videos",
        "mean |change| of the three angles after a Gaussian of 2 frames",
    ),
    "pitch_spread": Spec("pitch spread", "deg", "as the real videos", _SPREAD),
    "yaw_spread": Spec("yaw spread", "deg", "as the real videos", _SPREAD),
    "roll_spread": Spec("roll spread", "deg", "as the real videos", _SPREAD),
    "head_motion_own": Spec(
        "head motion by THEval's formula, our pose reader",
        "",
        "as the real videos",
        "Quignon et al. (arXiv 2511.04520), whose pose network FaceXFormer ships nowhere",
    ),
}
MIN_FRAMES = 3


def measure(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Over the frames with a face. Raises NotMeasured below three of them."""
    found = track.found()
    if found.sum() < MIN_FRAMES:
        raise NotMeasured(f"fewer than {MIN_FRAMES} frames with a face")
    steps = {norm: delta_pose(track.faces.rotation, norm) for norm in NORMS}
    rotation = track.faces.rotation[found]
    spread = head_statistics(rotation)
    return {
        **{f"delta_pose_{norm}": _mean(values) for norm, values in steps.items()},
        **{name.replace(" ", "_"): value for name, value in spread.items()},
        "head_motion_own": head_motion(rotation, _box_centres(track, found)),
    }


def head_motion(rotation: Float[np.ndarray, "t 3"], centres: Float[np.ndarray, "t 2"]) -> float:
    """THEval's head motion: sqrt(mean std(angles) * mean var(their changes) + mean var(centres)).

    rotation: radians, taken as degrees. centres: of the face's box, pixels of the video as it is,
    so that the figure depends on its resolution, as theirs does.
    """
    angles = np.degrees(np.asarray(rotation, np.float64))
    product = angles.std(0).mean() * np.diff(angles, axis=0).var(0).mean()
    return float(np.sqrt(product + np.asarray(centres, np.float64).var(0).mean()))


def _box_centres(track: Track, found: np.ndarray) -> Float[np.ndarray, "t 2"]:
    marks = track.landmarks[found][..., :2]
    return (marks.min(1) + marks.max(1)).astype(np.float64) / 2


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


HEAD = Metric("head", SPECS, measure)
