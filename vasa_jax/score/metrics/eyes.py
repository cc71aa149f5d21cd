"""Eyes: blinks, and where they look."""

import numpy as np

from vasa_jax.perception.face_statistics import eye_statistics
from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track

_LIDS = "peaks of the mean of the two lids' ARKit coefficients, by the face mesh's network"
_GAZE = "iris and head of the face mesh; another network by --labeller gaze=..."
SPECS = {
    "blinks": Spec("blinks", "per minute", "as the real videos", _LIDS),
    "blink_length": Spec("blink length", "s", "as the real videos", _LIDS),
    "gaze_shifts": Spec("gaze shifts above 3 deg", "per second", "as the real videos", _GAZE),
    "gaze_yaw": Spec("gaze, mean yaw", "deg", "as the real videos", _GAZE),
    "gaze_pitch": Spec("gaze, mean pitch", "deg", "as the real videos", _GAZE),
    "gaze_spread": Spec("gaze, spread about its mean", "deg", "as the real videos", _GAZE),
}
MIN_FRAMES = 5


def measure(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Over the frames with a face. blink_length is not defined without a blink.

    Raises NotMeasured below five frames with a face.
    """
    found = track.found()
    if found.sum() < MIN_FRAMES:
        raise NotMeasured(f"fewer than {MIN_FRAMES} frames with a face")
    gaze = track.faces.gaze[found]
    figures = {
        "gaze_yaw": float(np.degrees(gaze[:, 0].mean())),
        "gaze_pitch": float(np.degrees(gaze[:, 1].mean())),
        "gaze_spread": float(np.degrees(np.sqrt(gaze.var(0).sum()))),
    }
    known = eye_statistics(track.faces.expression[found], gaze)
    names = {
        "blinks a minute": "blinks",
        "blink length": "blink_length",
        "gaze shifts a second": "gaze_shifts",
    }
    return figures | {key: known[name] for name, key in names.items() if name in known}


EYES = Metric("eyes", SPECS, measure)
