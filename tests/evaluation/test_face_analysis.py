"""Face measurements, LPIPS and identity vectors by the real networks."""

import cv2
import numpy as np
from PIL import Image

from tests import needs
from tests.assets import PORTRAIT
from vasa_jax.data_pipeline.prepare.labels import FaceTrack, Labellers
from vasa_jax.data_pipeline.prepare.labels.points import MeshPoints
from vasa_jax.evaluation import face_analysis
from vasa_jax.evaluation.model_calls import to_size
from vasa_jax.perception.face_detector import detect_faces
from vasa_jax.typing import ARKIT

needs_faces = needs.weights("face-landmarker")


def test_lip_aperture_is_free_of_size_and_turn(rng):
    marks = rng.normal(size=(4, 478, 3))
    marks[:, 13], marks[:, 14] = (0, 0, 0), (0, 3, 0)
    marks[:, 33], marks[:, 263] = (-5, 0, 0), (5, 0, 0)
    np.testing.assert_allclose(face_analysis.lip_aperture(marks), 0.3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(face_analysis.lip_aperture(7 * marks @ turn), 0.3)


class FewLabels(Labellers):
    """Labels that state where a face is: its place in the batch that was given."""

    def load(self, kinds=()):
        self.given = []

    def label(self, frames, landmarks):
        self.given.append(frames)
        row = np.arange(len(frames), dtype=np.float32)

        def wide(*shape):
            return np.broadcast_to(row.reshape(-1, *[1] * len(shape)), (len(row), *shape))

        return {
            "rotation": wide(3),
            "log_scale": wide(1),
            "gaze": wide(2),
            "points": wide(5, 2),
            "arkit": wide(len(ARKIT)),
            "emotion": np.ones(8) / 8,
        }


@needs_faces
def test_frames_without_a_face_are_nan(rng):
    face = to_size(np.asarray(Image.open(PORTRAIT).convert("RGB"))[None], 256)[0]
    blank = np.full_like(face, 90)
    reader = face_analysis.FaceAnalyzer(FewLabels())
    read = reader(np.stack([face, blank, face]), False)
    assert read.found().tolist() == [True, False, True]
    assert read.log_scale[2] == 1
    assert np.isnan(read.mouth[1])
    assert np.isnan(read.points[1]).all()
    np.testing.assert_allclose(read.mouth[0], read.mouth[2], atol=0.01)
    assert 0 <= read.mouth[0] < 0.5
    nothing = reader(blank[None], True)
    assert not nothing.found().any()
    assert np.isnan(nothing.emotion).all()


@needs.weights("vgg16-lpips")
def test_lpips_tells_equal_from_different_images(rng):
    a = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = face_analysis.lpips_distance(batch=2)(a, np.stack([a[0], 255 - a[1], a[2]]))
    np.testing.assert_allclose(found[[0, 2]], 0, atol=1e-6)
    assert found[1] > 0.1


@needs_faces
@needs.weights("dlib-face-recognition")
def test_identity_vectors_of_one_face_are_near():
    photo = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    photo = cv2.resize(photo[: min(photo.shape[:2]), : min(photo.shape[:2])], (256, 256))
    points = MeshPoints()
    tilted = cv2.warpAffine(photo, cv2.getRotationMatrix2D((128, 128), 6, 0.9), (256, 256))
    frames = np.stack([photo, tilted])
    marks = np.stack([detect_faces(f)[0].landmarks for f in frames]).astype(np.float32)
    five = points(FaceTrack(frames, marks))[0].astype(np.float32)
    one, same = face_analysis.identity_vectors(256)(frames, five)
    assert np.linalg.norm(one - same) < 0.3
    other = frames[:, :, ::-1][:1] // 2 + frames[1:] // 2  # two half-seen faces are nobody
    assert np.linalg.norm(face_analysis.identity_vectors(256)(other, five[:1])[0] - one) > 0.3
