"""Motion against the real counterpart's, frame by frame."""

import numpy as np

from vasa_jax.evaluation.lip_sync import audio_offset, correlation, lagged_correlation
from vasa_jax.evaluation.pose_metrics import gaze_error, pose_error
from vasa_jax.score.types import Metric, Spec, Tools, Track

_READ = "both read by the same instruments, frame by frame from the beginning"
SPECS = {
    "mouth_correlation": Spec("mouth opening, correlation with the real one", "", "1", _READ),
    "mouth_offset": Spec(
        "mouth's delay against the real one", "frames", "0", "lag of the highest correlation"
    ),
    "pose_error": Spec("head pose error", "deg", "0", _READ),
    "gaze_error": Spec("gaze error", "deg", "0", _READ),
}


def measure(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Over the frames that both have and in which both have a face.

    For one frame, or a still mouth, the correlation is not defined.
    """
    assert reference is not None
    track.found(), reference.found()
    count = min(track.frames, reference.frames)
    ours, real = track.faces, reference.faces
    lags = lagged_correlation(ours.mouth[:count], real.mouth[:count])
    return {
        "mouth_correlation": correlation(ours.mouth[:count], real.mouth[:count]),
        "mouth_offset": audio_offset(lags),
        "pose_error": _mean(pose_error(ours.rotation[:count], real.rotation[:count])),
        "gaze_error": _mean(gaze_error(ours.gaze[:count], real.gaze[:count])),
    }


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


MOTION_PAIR = Metric("motion against the real video", SPECS, measure, paired=True)
