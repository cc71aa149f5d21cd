"""Networks of an evaluation, from the zoo: face measurements, LPIPS, identity, video features."""

from collections.abc import Callable

import jax
import numpy as np

from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare.labels import NUMBERS, Labellers
from vasa_jax.evaluation.i3d import video_features
from vasa_jax.evaluation.types import FaceMeasurements, MetricNetworks
from vasa_jax.perception import lpips
from vasa_jax.perception.batches import in_batches, to_float
from vasa_jax.perception.face_detector import EYE_CORNERS
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.perception.identity import identity_vectors
from vasa_jax.typing import EMOTIONS, Float, Frames

INNER_LIPS = (13, 14)  # mesh points: middles of the inner edges of the upper and the lower lip
DETECT_EVERY = 12  # frames of a video between two face detections; landmarks are tracked between


class FaceAnalyzer:
    """Measures faces with the labellers of `prepare`, on the landmarks of the face detector."""

    def __init__(self, labellers: Labellers):
        self._labellers = labellers
        labellers.load(NUMBERS)

    def __call__(self, frames: Frames, video: bool) -> FaceMeasurements:
        """Measurements of frames; expression is the ARKit coefficients.

        video: whether the frames are consecutive, so that faces can be tracked.
        """
        tracker = FaceTracker(DETECT_EVERY if video else 1)
        found = [tracker(frame).landmarks for frame in frames]
        known = np.array([marks is not None for marks in found])
        count = len(frames)
        rows = {"rotation": (3,), "log_scale": (1,), "gaze": (2,), "points": (5, 2), "arkit": (52,)}
        values = {name: np.full((count, *row), np.nan) for name, row in rows.items()}
        mouth, emotion = np.full(count, np.nan), np.full(len(EMOTIONS), np.nan)
        if known.any():
            landmarks = np.stack([marks for marks in found if marks is not None])
            labels = self._labellers.label(frames[known], landmarks.astype(np.float32))
            for name in rows:
                values[name][known] = labels[name]
            mouth[known] = lip_aperture(landmarks)
            emotion = np.asarray(labels["emotion"], np.float64)
        return FaceMeasurements(
            rotation=values["rotation"],
            log_scale=values["log_scale"][:, 0],
            gaze=values["gaze"],
            mouth=mouth,
            points=values["points"],
            expression=values["arkit"],
            emotion=emotion,
        )


def lip_aperture(landmarks: Float[np.ndarray, "t 478 3"]) -> Float[np.ndarray, " t"]:
    """Distance of the inner lips over that of the outer eye corners, both in 3-D."""
    upper, lower = (landmarks[:, i] for i in INNER_LIPS)
    right, left = (landmarks[:, i] for i in EYE_CORNERS)
    return np.linalg.norm(upper - lower, axis=-1) / np.linalg.norm(right - left, axis=-1)


def lpips_distance(batch: int = 8) -> Callable[[Frames, Frames], Float[np.ndarray, " t"]]:
    """A function to the LPIPS of pairs of frames, by the zoo's `vgg16-lpips`."""
    params = {"params": lpips.load(zoo.ensure("vgg16-lpips"))}
    network = jax.jit(lambda a, b: lpips.LPIPS().apply(params, a, b))

    def measure(a: Frames, b: Frames) -> Float[np.ndarray, " t"]:
        return in_batches(network, (to_float(a), to_float(b)), batch)

    return measure


def load_metric_networks(size: int, labellers: Labellers, fvd: bool) -> MetricNetworks:
    """All networks for frames of `size` pixels; video features only with `fvd`."""
    return MetricNetworks(
        analyze=FaceAnalyzer(labellers),
        lpips=lpips_distance(),
        embed=identity_vectors(size),
        video_features=video_features() if fvd else None,
    )
