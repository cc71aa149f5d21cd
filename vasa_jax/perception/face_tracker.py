"""Face tracking through a shot: detection at intervals, landmarks in between."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.perception.face_detector import MIN_PRESENCE, detect_faces, track_landmarks
from vasa_jax.typing import Float, PortraitArray

SAME_FACE = 0.3
"""Two hulls of one face in neighbouring frames overlap (intersection over union) at least so."""


class Seen(NamedTuple):
    """The tracked face in one frame."""

    # Pixels of the followed face, None without one.
    landmarks: Float[np.ndarray, "478 3"] | None
    people: int  # faces of comparable size, the followed one included, when they were last counted
    fresh: bool  # the followed face is not the one of the frame before
    counted: bool  # all faces were searched for in this very frame


class FaceTracker:
    """Tracks one face through the frames of a video, given in order; `restart` at a new shot.

    every: frames between two searches for all faces; between them only the landmark network runs.
    other_face: a face counts from this share of the main one's size.
    path: the bundle of networks, None for the zoo's.
    again: frames between two searches while there is no face (default: every / 3).
    fine: whether faces of a hundredth of a large picture are searched for, see `detect_faces`.
    presence: what a face that is being followed must keep, see `track_landmarks`.
    """

    def __init__(
        self,
        every: int = 12,
        other_face: float = 0.5,
        path: Path | None = None,
        again: int | None = None,
        fine: bool = False,
        presence: float = MIN_PRESENCE,
    ):
        self._every, self._other, self._path = every, other_face, path
        self._fine, self._presence = fine, presence
        self._again = max(every // 3, 1) if again is None else again
        self.restart()

    def restart(self) -> None:
        """Forget the face: the next frame belongs to another shot."""
        self._landmarks: np.ndarray | None = None
        self._age, self._people = 0, 0

    def __call__(self, frame: PortraitArray) -> Seen:
        """The face of the next frame, (h, w, 3) uint8 RGB. Raises UserError without weights."""
        previous, followed = self._landmarks, None
        if previous is not None:
            followed = track_landmarks(frame, previous, self._path, self._presence)
            if followed is not None and overlap(followed, previous) < SAME_FACE:
                followed = None
        # Where there is no face at all, every frame would be searched at many scales.
        elif 0 < self._age < self._again:
            self._age += 1
            return Seen(None, 0, fresh=True, counted=False)
        if followed is None or self._age >= self._every:
            return self._search(frame, followed if followed is not None else previous, followed)
        self._age += 1
        self._landmarks = followed
        return Seen(followed, self._people, fresh=False, counted=False)

    def _search(
        self, frame: PortraitArray, before: np.ndarray | None, followed: np.ndarray | None
    ) -> Seen:
        """Count the faces. before: where the face is or was; followed: where it is, if known. What
        is followed stays as it is: the detector would jump a little, and misses profiles."""
        faces = [face.landmarks for face in detect_faces(frame, self._path, self._fine)]
        self._age, fresh, main = 1, True, None
        if before is not None:
            same = [face for face in faces if overlap(face, before) >= SAME_FACE]
            if followed is not None and (same or not faces):
                main = followed
            elif same:
                main = max(same, key=lambda face: overlap(face, before))
            fresh = main is None
        if main is None and faces:
            main = max(faces, key=hull_side)
        self._landmarks = main
        if main is None:
            self._people = 0
            return Seen(None, 0, fresh=True, counted=True)
        least = self._other * hull_side(main)
        others = [f for f in faces if overlap(f, main) < SAME_FACE and hull_side(f) >= least]
        self._people = 1 + len(others)
        return Seen(main, self._people, fresh, counted=True)


def hull(landmarks: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "4"]:
    """Left, top, right, bottom of the landmarks, pixels."""
    return np.concatenate([landmarks[:, :2].min(0), landmarks[:, :2].max(0)])


def hull_side(landmarks: Float[np.ndarray, "478 3"]) -> float:
    """Mean of width and height of a face's hull, pixels."""
    left, top, right, bottom = hull(landmarks)
    return float(right - left + bottom - top) / 2


def overlap(a: Float[np.ndarray, "478 3"], b: Float[np.ndarray, "478 3"]) -> float:
    """Intersection over union of two faces' hulls."""
    p, q = hull(a), hull(b)
    inner = np.clip(np.minimum(p[2:], q[2:]) - np.maximum(p[:2], q[:2]), 0, None).prod()
    union = (p[2:] - p[:2]).prod() + (q[2:] - q[:2]).prod() - inner
    return float(inner / union) if union > 0 else 0.0
