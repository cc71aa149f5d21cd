"""Head pose from landmarks: weighted similarity fit of the canonical face."""

import numpy as np

from vasa_jax import zoo
from vasa_jax.angles import euler_angles
from vasa_jax.data_pipeline.clip import EYE_SPAN
from vasa_jax.data_pipeline.prepare.labels.canonical import read_canonical_face
from vasa_jax.data_pipeline.prepare.labels.protocols import FaceTrack, HeadPose
from vasa_jax.perception.face_detector import EYE_CORNERS
from vasa_jax.perception.similarity import weighted_similarity


class CanonicalFacePose:
    """MediaPipe's canonical face on the landmarks of the mesh network.

    MediaPipe itself assumes a camera with a field of view of 63 degrees; the crop of a head has a
    far narrower and unknown one, so it is taken as infinitely narrow (weak perspective). Stands in
    for the pose of Deep3DFaceRecon and of MegaPortraits' pretrained pose network.
    """

    def __init__(self):
        self._face = read_canonical_face(zoo.ensure("face-landmarker"))

    def __call__(self, track: FaceTrack) -> HeadPose:
        """Rotation by the mesh, translation by the eye corners, scale by both.

        The mesh gives every frame's size quietly but for a mean head; how much wider this person's
        eyes are apart than the mean head's is one number a clip, from its most frontal half.
        """
        height, width = track.frames.shape[1:3]
        landmarks = track.landmarks.astype(np.float64)
        corners = landmarks[:, list(EYE_CORNERS)]
        vertices = self._face.vertices
        rotation, scale, _ = weighted_similarity(
            vertices, landmarks[:, : len(vertices)], self._face.weights
        )
        angles = euler_angles(rotation)
        mean_span = np.linalg.norm(np.subtract(*vertices[list(EYE_CORNERS)]))
        wider = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1) / (scale * mean_span)
        frontal = np.abs(angles[:, 1]) <= np.median(np.abs(angles[:, 1]))
        span = scale * mean_span * np.median(wider[frontal]) / width
        middle = corners.mean(1)[:, :2] / (width, height) * 2 - 1
        return HeadPose(
            angles.astype(np.float32),
            np.pad(middle, ((0, 0), (0, 1))).astype(np.float32),
            np.log(span / EYE_SPAN)[:, None].astype(np.float32),
        )
