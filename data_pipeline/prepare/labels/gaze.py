"""Gaze of every frame from iris landmarks and head pose."""

import numpy as np

from vasa_jax import zoo
from vasa_jax.angles import rotation_matrices
from vasa_jax.data_pipeline.prepare.labels.canonical import read_canonical_face
from vasa_jax.data_pipeline.prepare.labels.protocols import FaceTrack
from vasa_jax.perception.similarity import weighted_similarity
from vasa_jax.typing import Float

EYES = (((33, 133), 468), ((263, 362), 473))
"""Outer and inner corner and the centre of the iris, of both eyes."""
IRIS_DISTANCE = 1.05
"""Centimetres from the eyeball's centre of rotation to the centre of the iris as it is seen: the
centre lies 13.5 mm behind the cornea (Fry & Hill 1962), the seen iris 3 mm (Le Grand's eye)."""
EYE_CENTRE = (-0.15, 0.8)
"""Centimetres from the midpoint of an eye's corners to its centre of rotation, down and away from
the camera in the head's axes."""
CLOSED = 0.2
"""An eye whose lids are nearer than this part of its width shows no iris."""
_LIDS = ((159, 145), (386, 374))


def through_blinks(
    gaze: Float[np.ndarray, "t 2"], opened: Float[np.ndarray, " t"]
) -> Float[np.ndarray, "t 2"]:
    """The gaze with frames of closed lids filled in linearly from their open neighbours.

    opened: the lids' distance over the eye's width. A clip without an open frame stays as it is.
    """
    seen = np.flatnonzero(opened >= CLOSED)
    if not len(seen):
        return gaze
    frames = np.arange(len(gaze))
    return np.stack([np.interp(frames, seen, gaze[seen, i]) for i in (0, 1)], 1)


class IrisGaze:
    """Gaze of a geometric eyeball model, both eyes' mean. VASA-1 uses L2CS-Net.

    Where the head is and how it is turned says where the centre of each ball is seen; the iris
    lies `IRIS_DISTANCE` from there, so its shift in the picture is the sine of the line of sight.
    """

    def __init__(self):
        self._face = read_canonical_face(zoo.ensure("face-landmarker"))

    def __call__(self, track: FaceTrack) -> Float[np.ndarray, "t 2"]:
        """Yaw and pitch in radians against the camera's axes, right and up positive."""
        assert track.pose is not None
        landmarks = track.landmarks.astype(np.float64)
        vertices = self._face.vertices
        _, scale, _ = weighted_similarity(
            vertices, landmarks[:, : len(vertices)], self._face.weights
        )
        rotation = rotation_matrices(track.pose.rotation.astype(np.float64))
        behind = (rotation @ np.array([0.0, *EYE_CENTRE]))[:, :2]
        shifts, opened = [], []
        for (corners, iris), (upper, lower) in zip(EYES, _LIDS, strict=True):
            ends = landmarks[:, list(corners)]
            centre = ends.mean(1)[:, :2] / scale[:, None] + behind
            shifts.append(landmarks[:, iris, :2] / scale[:, None] - centre)
            gap = np.linalg.norm(landmarks[:, upper] - landmarks[:, lower], axis=1)
            opened.append(gap / np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))
        x, y = (np.mean(shifts, 0) / IRIS_DISTANCE).T
        y = np.clip(y, -0.9, 0.9)
        pitch = np.arcsin(-y)
        yaw = np.arcsin(np.clip(x / np.cos(pitch), -0.95, 0.95))
        gaze = through_blinks(np.stack([yaw, pitch], 1), np.mean(opened, 0))
        return gaze.astype(np.float32)
