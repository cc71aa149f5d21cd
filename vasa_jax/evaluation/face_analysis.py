"""Networks of an evaluation, from the zoo: face measurements, LPIPS, identity, video features."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from vasa_jax import zoo
from vasa_jax.data_pipeline.prepare.labels import NUMBERS, Labellers
from vasa_jax.evaluation.i3d import video_features
from vasa_jax.evaluation.types import FaceMeasurements, MetricNetworks
from vasa_jax.media.stored_rows import StoredRows
from vasa_jax.perception import lpips
from vasa_jax.perception.batches import in_batches, to_float
from vasa_jax.perception.face_detector import EYE_CORNERS, LANDMARKS
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.perception.identity import identity_vectors
from vasa_jax.typing import EMOTIONS, Float, Frames, PortraitArray

INNER_LIPS = (13, 14)  # mesh points: middles of the inner edges of the upper and the lower lip
DETECT_EVERY = 12  # frames of a video between two face detections; landmarks are tracked between
PART_BYTES = 2**28
"""Frames of a track that are labelled together: 13 s at 512 px, 2 s at 1920 x 1080."""


class FaceTrackRead(NamedTuple):
    """All frames of a track as read by a `FaceReader`."""

    landmarks: Float[np.ndarray, "t 478 3"]  # pixels; rows of NaN without a face
    measurements: FaceMeasurements


class FaceReader:
    """Landmarks and measurements of one track of frames, given part by part.

    Frames are labelled together as long as they take at most `PART_BYTES`, so the memory does not
    grow with their number but for the landmarks. labellers: loaded ones. video: whether the frames
    are consecutive, so that faces can be tracked.
    """

    def __init__(self, labellers: Labellers, video: bool = True):
        self._labellers = labellers
        self._tracker = FaceTracker(DETECT_EVERY if video else 1)
        self._marks = StoredRows(LANDMARKS, 3)
        self._waiting: list[tuple[np.ndarray, np.ndarray | None]] = []
        self._bytes = 0
        self._read: list[FaceMeasurements] = []

    def add(self, frames: Iterable[PortraitArray]) -> None:
        """The next frames, (h, w, 3) uint8 RGB, all of one size. Raises UserError without
        weights."""
        for frame in frames:
            if self._waiting and self._bytes + frame.nbytes > PART_BYTES:
                self._label()
            marks = self._tracker(frame).landmarks
            self._marks.append(np.full((LANDMARKS, 3), np.nan) if marks is None else marks)
            self._waiting.append((frame, marks))
            self._bytes += frame.nbytes

    def finish(self) -> FaceTrackRead:
        """Everything of the frames so far, of which there is one at least."""
        if self._waiting:
            self._label()
        return FaceTrackRead(self._marks.array(), _joined(self._read))

    def _label(self) -> None:
        known = np.array([marks is not None for _, marks in self._waiting])
        faces = [(frame, marks) for frame, marks in self._waiting if marks is not None]
        self._read.append(_labelled(self._labellers, known, faces))
        self._waiting, self._bytes = [], 0


def _labelled(
    labellers: Labellers, known: np.ndarray, faces: list[tuple[np.ndarray, np.ndarray]]
) -> FaceMeasurements:
    """known: of every frame, whether it has a face; faces: the frames that do, with landmarks."""
    count = len(known)
    rows = {"rotation": (3,), "log_scale": (1,), "gaze": (2,), "points": (5, 2), "arkit": (52,)}
    values = {name: np.full((count, *row), np.nan) for name, row in rows.items()}
    mouth, emotion = np.full(count, np.nan), np.full(len(EMOTIONS), np.nan)
    if faces:
        frames, landmarks = (np.stack(items) for items in zip(*faces, strict=True))
        labels = labellers.label(frames, landmarks.astype(np.float32))
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


def _joined(parts: list[FaceMeasurements]) -> FaceMeasurements:
    """Parts of a track in order; emotion is their mean by the number of faces."""
    if len(parts) == 1:
        return parts[0]
    faces = np.array([part.found().sum() for part in parts])
    emotion = np.full(len(EMOTIONS), np.nan)
    if faces.any():
        shares = np.stack([part.emotion for part in parts])[faces > 0]
        emotion = np.average(shares, axis=0, weights=faces[faces > 0])
    rows = ("rotation", "log_scale", "gaze", "mouth", "points", "expression")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in rows}
    return FaceMeasurements(**joined, emotion=emotion)


class FaceAnalyzer:
    """Measures faces with the labellers of `prepare`, on the landmarks of the face detector."""

    def __init__(self, labellers: Labellers):
        self.labellers = labellers
        labellers.load(NUMBERS)

    def __call__(self, frames: Frames, video: bool) -> FaceMeasurements:
        """Measurements of frames; expression is the ARKit coefficients.

        video: whether the frames are consecutive, so that faces can be tracked.
        """
        return self.read(frames, video).measurements

    def read(self, frames: Frames, video: bool) -> FaceTrackRead:
        """Measurements of frames, and their landmarks."""
        reader = FaceReader(self.labellers, video)
        reader.add(frames)
        return reader.finish()


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
