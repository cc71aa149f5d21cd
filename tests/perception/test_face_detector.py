"""Faces: MediaPipe itself as oracle, geometry, and pictures that show none."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from tests import needs
from tests.assets import PORTRAIT
from vasa_jax.errors import UserError
from vasa_jax.media.image import read_image
from vasa_jax.perception import blazeface
from vasa_jax.perception.face_detector import detect_faces, track_landmarks

GOLDEN = Path(__file__).parent / "golden" / "astronaut_mediapipe.json"
needs_weights = needs.weights("face-landmarker")


@pytest.fixture(scope="module")
def photo():
    return read_image(PORTRAIT)


@pytest.fixture(scope="module")
def face(photo):
    (only,) = detect_faces(photo)
    return only


@needs_weights
def test_landmarks_are_mediapipes(face):
    golden = json.loads(GOLDEN.read_text())
    theirs = np.asarray(golden["landmarks_px"])
    error = np.linalg.norm(face.landmarks[:, :2] - theirs, axis=1)
    width = np.ptp(theirs[:, 0])
    assert error.mean() < 0.01 * width  # 0.006 measured; the rest is our second look
    assert error.max() < 0.04 * width


@needs_weights
def test_the_face_follows_the_picture(photo, face):
    """Shrunk, moved, mirrored and turned, the same face is found where it must be."""
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    wide = np.full((600, 900, 3), 120, np.uint8)
    wide[320:576, 600:856] = small
    nose = face.landmarks[1, :2] / 2 + (600, 320)
    assert np.abs(detect_faces(wide)[0].landmarks[1, :2] - nose).max() < 3

    mirrored = detect_faces(np.ascontiguousarray(photo[:, ::-1]))[0].landmarks
    assert np.abs(mirrored[1, 0] - (511 - face.landmarks[1, 0])) < 5

    turn = cv2.getRotationMatrix2D((256, 256), 25, 1.0)
    turned = cv2.warpAffine(photo, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    expected = turn @ np.append(face.landmarks[1, :2], 1)
    assert np.abs(detect_faces(turned)[0].landmarks[1, :2] - expected).max() < 8


@needs_weights
def test_all_faces_largest_first(photo):
    canvas = np.full((700, 1100, 3), 90, np.uint8)
    canvas[50:350, 50:350] = cv2.resize(photo, (300, 300), interpolation=cv2.INTER_AREA)
    canvas[100:612, 500:1012] = photo
    faces = detect_faces(canvas)
    assert len(faces) == 2
    assert faces[0].box[0] > 500 > faces[1].box[0]


@needs_weights
def test_tracking_holds_on_and_lets_go(photo, face):
    moved = np.roll(photo, 6, axis=1)
    tracked = track_landmarks(moved, face.landmarks)
    assert np.abs(tracked[:, :2] - face.landmarks[:, :2] - (6, 0)).mean() < 2
    assert track_landmarks(np.full_like(photo, 128), face.landmarks) is None


def _pictures():
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    yield "noise", rng.integers(0, 255, (256, 256, 3), np.uint8)
    yield "gradient", np.repeat(np.tile(ramp, (256, 1))[..., None], 3, -1)
    yield "flat", np.full((300, 200, 3), 128, np.uint8)
    for name in ("coffee", "rocket", "cat", "coins", "brick"):
        image = getattr(data, name)()
        yield name, image[..., :3] if image.ndim == 3 else np.stack([image] * 3, -1)


@needs_weights
@pytest.mark.parametrize(
    "name", ["noise", "gradient", "flat", "coffee", "rocket", "cat", "coins", "brick"]
)
def test_no_face_where_there_is_none(name):
    assert detect_faces(dict(_pictures())[name]) == []


@needs_weights
@pytest.mark.parametrize("size", [(1, 1), (1500, 3), (3, 1500), (40, 700)])
def test_pictures_of_any_shape_are_searched(size):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    assert detect_faces(noise) == []


@needs_weights
@pytest.mark.parametrize("share", [0.045, 0.025])
def test_a_small_face_in_a_large_photo_is_found(photo, share):
    """Of the photo's long side, among plain surroundings; the parts searched shrink until then."""
    large = np.full((1900, 2600, 3), 120, np.uint8)
    scale = share * 2600 / detect_faces(photo)[0].box[2]
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    large[900 : 900 + small.shape[0], 1700 : 1700 + small.shape[1]] = small
    (face,) = detect_faces(large)
    expected = detect_faces(photo)[0].landmarks[:, :2] * scale + (1700, 900)
    assert np.abs(face.landmarks[:, :2] - expected).max() < 0.1 * share * 2600
    if share < 0.03:
        assert detect_faces(large, fine=False) == []


def test_a_file_that_is_no_bundle_is_one_line(tmp_path, photo):
    (tmp_path / "x.task").write_bytes(b"no zip")
    with pytest.raises(UserError, match="not a face landmarker bundle"):
        detect_faces(photo, tmp_path / "x.task")


@pytest.mark.parametrize("level", [0, 1, 2, 3, 4, 5, -1])
@pytest.mark.parametrize("size", [(480, 640), (1000, 300), (200, 200)])
def test_squares_cover_the_picture(size, level):
    seen = np.zeros(size, bool)
    for left, top, side in blazeface.squares(*size, level):
        seen[max(0, round(top)) : round(top + side), max(0, round(left)) : round(left + side)] = 1
    assert seen.all()


def test_overlapping_candidates_become_their_weighted_mean():
    rows = np.zeros((3, 17), np.float32)
    rows[0, [0, 1, 2, 3, 16]] = 10, 10, 20, 20, 0.9
    rows[1, [0, 1, 2, 3, 16]] = 12, 10, 20, 20, 0.6
    rows[2, [0, 1, 2, 3, 16]] = 80, 80, 20, 20, 0.7
    kept = blazeface.suppress(rows)
    assert len(kept) == 2
    np.testing.assert_allclose(kept[0, 0], (10 * 0.9 + 12 * 0.6) / 1.5, rtol=1e-5)
    np.testing.assert_allclose(kept[:, 16], [0.9, 0.7])
