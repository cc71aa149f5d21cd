"""One face through a shot: searched for now and then, followed by its landmarks in between."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.perception.face_detector import Face, detect_faces, track_landmarks
from vasa_jax.typing import Float, PortraitArray

SAME_FACE = 0.3
"""Two hulls of one face in neighbouring frames overlap (intersection over union) at least so."""


class Seen(NamedTuple):
    """What one frame shows.

    landmarks: (478, 3) pixels of the followed face, None without one. people: faces of comparable
    size, the followed one included, when they were last counted. fresh: the followed face is not
    the one of the frame before. counted: all faces were searched for in this very frame.
    """

    landmarks: Float[np.ndarray, "478 3"] | None
    people: int
    fresh: bool
    counted: bool


class FaceTracker:
    """Feed it the frames of a video in turn; `restart` where a shot begins.

    every: frames between two searches for all faces; between them, and after a face was lost, only
    the landmark network runs. other_face: a face counts from this share of the main one's size.
    path: the bundle of networks, None for the zoo's.
    """

    def __init__(self, every: int = 12, other_face: float = 0.5, path: Path | None = None):
        self._every, self._other, self._path = every, other_face, path
        self.restart()

    def restart(self) -> None:
        """Forget the face: the next frame belongs to another shot."""
        self._landmarks: np.ndarray | None = None
        self._age, self._people = 0, 0

    def __call__(self, frame: PortraitArray) -> Seen:
        """What is seen in the next frame, (h, w, 3) uint8 RGB. Raises UserError without weights."""
        previous, followed = self._landmarks, None
        if previous is not None and self._age < self._every:
            followed = track_landmarks(frame, previous, self._path)
            if followed is not None and overlap(followed, previous) < SAME_FACE:
                followed = None
        if followed is not None:
            self._age += 1
            self._landmarks = followed
            return Seen(followed, self._people, fresh=False, counted=False)
        # Where there is no face at all, every frame would be searched at many scales.
        if previous is None and 0 < self._age < max(self._every // 3, 1):
            self._age += 1
            return Seen(None, 0, fresh=True, counted=False)
        return self._search(frame, previous)

    def _search(self, frame: PortraitArray, previous: np.ndarray | None) -> Seen:
        faces = detect_faces(frame, self._path)
        self._age = 1
        if not faces:
            self._landmarks, self._people = None, 0
            return Seen(None, 0, fresh=True, counted=True)
        main = max(faces, key=hull_side)
        fresh = True
        if previous is not None:
            same = max(faces, key=lambda face: overlap(face.landmarks, previous))
            if overlap(same.landmarks, previous) >= SAME_FACE:
                main, fresh = same, False
        least = self._other * hull_side(main)
        self._people = sum(hull_side(face) >= least for face in faces)
        self._landmarks = main.landmarks
        return Seen(main.landmarks, self._people, fresh, counted=True)


def hull(landmarks: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "4"]:
    """Left, top, right, bottom of the landmarks, pixels."""
    return np.concatenate([landmarks[:, :2].min(0), landmarks[:, :2].max(0)])


def hull_side(face: Face) -> float:
    """Mean of width and height of a face's hull, pixels."""
    left, top, right, bottom = hull(face.landmarks)
    return float(right - left + bottom - top) / 2


def overlap(a: Float[np.ndarray, "478 3"], b: Float[np.ndarray, "478 3"]) -> float:
    """Intersection over union of two faces' hulls."""
    p, q = hull(a), hull(b)
    inner = np.clip(np.minimum(p[2:], q[2:]) - np.maximum(p[:2], q[:2]), 0, None).prod()
    union = (p[2:] - p[:2]).prod() + (q[2:] - q[:2]).prod() - inner
    return float(inner / union) if union > 0 else 0.0
