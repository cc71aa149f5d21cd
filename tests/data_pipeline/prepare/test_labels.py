"""The labellers of `prepare`: MediaPipe and scipy as oracles, mirrors, plug-ins."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests import needs
from tests.assets import PORTRAIT
from vasa_jax import zoo
from vasa_jax.angles import rotation_matrices
from vasa_jax.data_pipeline.clip import EYE_SPAN, LANDMARK_UNIT, Clip, check_clip
from vasa_jax.data_pipeline.main_gaze import main_gaze
from vasa_jax.data_pipeline.prepare.labels import (
    NUMBERS,
    FaceTrack,
    HeadPose,
    Labellers,
    blendshapes,
    canonical,
    emotion,
    gaze,
    parse_choices,
    pose,
    protocols,
)
from vasa_jax.errors import UserError
from vasa_jax.media.image import read_image
from vasa_jax.perception.face_detector import detect_faces
from vasa_jax.typing import ARKIT, EMOTIONS

GOLDEN = Path(__file__).parent.parent / "golden" / "mediapipe_faces.json"
HERE = "tests.data_pipeline.prepare.test_labels"
needs_weights = needs.weights("face-landmarker", "face-expression")


@pytest.fixture(scope="module")
def face():
    return canonical.read_canonical_face(zoo.ensure("face-landmarker"))


@pytest.fixture(scope="module")
def cases():
    return json.loads(GOLDEN.read_text())["cases"]


@pytest.fixture(scope="module")
def labellers():
    return Labellers()


@pytest.fixture(scope="module")
def portrait():
    photo = np.asarray(read_image(PORTRAIT))
    return photo, detect_faces(photo)[0].landmarks


@pytest.fixture(scope="module")
def labels(labellers, portrait):
    photo, landmarks = portrait
    return labellers.label(np.stack([photo] * 3), np.stack([landmarks] * 3))


def track_of(landmarks, size=(256, 256)):
    frames = np.zeros((len(landmarks), size[1], size[0], 3), np.uint8)
    return FaceTrack(frames, np.asarray(landmarks, np.float32))


def posed(face, angles, scale=12.0, centre=(140.0, 110.0)):
    """478 landmarks of the mean face turned by pitch, yaw and roll (degrees), in pixels."""
    pitch, yaw, roll = angles
    turn = Rotation.from_euler("ZYX", [roll, yaw, pitch], degrees=True)
    points = turn.apply(face.vertices) * scale + (*centre, 0)
    return np.pad(points, ((0, 10), (0, 0)))


@needs_weights
def test_the_canonical_face_looks_into_the_camera(face):
    corners = face.vertices[[33, 133, 362, 263]]
    assert (np.diff(corners[:, 0]) > 0).all()  # the person's right eye is left in the picture
    assert face.vertices[1, 2] < face.vertices[[33, 263], 2].min()  # the nose is nearest
    assert face.vertices[152, 1] > face.vertices[10, 1]  # the chin is below the forehead
    assert (face.weights > 0).sum() == 33
    assert face.weights[[61, 291, 13, 14]].max() == 0  # the mouth says nothing of pose


@needs_weights
def test_a_damaged_bundle_is_refused(tmp_path):
    with zipfile.ZipFile(zoo.ensure("face-landmarker")) as bundle:
        message = bundle.read(canonical.MEMBER)
    for n, content in enumerate((message[:-3], message[: len(message) // 2], b"\xff" * 20, b"")):
        path = tmp_path / f"{n}.task"
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr(canonical.MEMBER, content)
        with pytest.raises(UserError, match="holds no canonical face"):
            canonical.read_canonical_face(path)
    path.write_bytes(b"no zip")
    with pytest.raises(UserError, match="not a face landmarker bundle"):
        canonical.read_canonical_face(path)


def test_weighted_similarity_is_scipys():
    rng = np.random.default_rng(1)
    source, weights = rng.normal(size=(20, 3)), rng.uniform(size=20)
    target = rng.normal(size=(4, 20, 3)) + 2 * Rotation.random(4, rng=rng).as_matrix()[:, :1]
    rotation, scale, shift = pose.weighted_similarity(source, target, weights)
    middle = weights @ source / weights.sum()
    for i in range(4):
        centre = weights @ target[i] / weights.sum()
        theirs, _ = Rotation.align_vectors(target[i] - centre, source - middle, weights)
        np.testing.assert_allclose(rotation[i], theirs.as_matrix(), atol=1e-9)
        a, b = theirs.apply(source - middle).ravel(), (target[i] - centre).ravel()
        root = np.sqrt(np.repeat(weights, 3))
        best = np.linalg.lstsq((a * root)[:, None], b * root, rcond=None)[0]
        np.testing.assert_allclose(scale[i], best[0], atol=1e-9)
        np.testing.assert_allclose(scale[i] * rotation[i] @ middle + shift[i], centre, atol=1e-9)


@needs_weights
def test_rotation_is_mediapipes(face, cases):
    """Where MediaPipe's camera is as good as infinitely narrow; 0.5 degrees measured."""
    flip = np.diag([1, -1, -1])
    for case in cases:
        points = np.array(case["landmarks_px"])[None, :468]
        rotation, _, _ = pose.weighted_similarity(face.vertices, points, face.weights)
        theirs = np.array(case["matrix"])[:3, :3]
        theirs = flip @ theirs / np.cbrt(np.linalg.det(theirs)) @ flip
        error = np.degrees(Rotation.from_matrix(rotation[0] @ theirs.T).magnitude())
        # A near camera off the axis of its picture sees the head turned: 5.8 degrees measured.
        assert error < (1 if case["view"] == "far" else 8)


@needs_weights
def test_pose_of_a_known_head(face):
    angles = np.array([(0, 0, 0), (15, 30, -10), (-20, -40, 25)])
    track = track_of([posed(face, a) for a in angles], size=(320, 256))
    found = pose.CanonicalFacePose()(track)
    np.testing.assert_allclose(np.degrees(found.rotation), angles, atol=1e-3)
    corners = track.landmarks[:, [33, 263], :2].mean(1)
    np.testing.assert_allclose((found.translation[:, :2] + 1) / 2 * (320, 256), corners, atol=1e-3)
    assert (found.translation[:, 2] == 0).all()
    span = 12 * np.linalg.norm(face.vertices[33] - face.vertices[263])
    np.testing.assert_allclose(found.log_scale, np.log(span / 320 / EYE_SPAN), atol=1e-5)


@needs_weights
def test_blendshapes_are_mediapipes(cases):
    for case in cases:
        found = blendshapes.Blendshapes()(track_of([case["landmarks_px"]]))[0]
        theirs = [case["blendshapes"].get(name, 0) for name in ARKIT]
        np.testing.assert_allclose(found, theirs, atol=2e-4)  # golden landmarks are rounded
        assert found[ARKIT.index("tongueOut")] == 0


@needs_weights
@pytest.mark.parametrize("turned", [(0, 0, 0), (10, 25, 5), (-12, -30, 0)])
@pytest.mark.parametrize("look", [(0, 0), (20, 0), (0, -15), (-12, 9)])
def test_gaze_of_a_modelled_eye(face, turned, look):
    """Irises laid where a ball of that size shows them, whatever way the head is turned."""
    points = posed(face, turned)
    turn = rotation_matrices(np.radians([turned]))[0]
    yaw, pitch = np.radians(look)
    sight = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)])
    for corners, iris in gaze.EYES:
        centre = face.vertices[list(corners)].mean(0) + np.array([0, *gaze.EYE_CENTRE])
        shown = turn @ centre + gaze.IRIS_DISTANCE * sight
        points[iris, :2] = shown[:2] * 12 + (140, 110)
    track = track_of([points])
    track = track._replace(pose=pose.CanonicalFacePose()(track))
    np.testing.assert_allclose(np.degrees(gaze.IrisGaze()(track)[0]), look, atol=0.01)


def test_main_gaze_is_the_fullest_place():
    rng = np.random.default_rng(0)
    aside = np.radians([20, -10]) + rng.normal(size=(60, 2)) * 0.01
    camera = rng.normal(size=(35, 2)) * 0.01
    outlier = np.radians([[-60, 30]] * 5)
    found = main_gaze(np.concatenate([camera, outlier, aside]).astype(np.float32))
    np.testing.assert_allclose(found, aside.mean(0), atol=1e-4)
    # A cluster on the border of two bins stays one, and a tie goes to the camera.
    border = np.radians([[2.4, 0], [2.6, 0], [30, 0]]).astype(np.float32)
    np.testing.assert_allclose(main_gaze(border), np.radians([2.5, 0]), atol=1e-6)
    tie = np.radians([[40, 0], [0, 0]]).astype(np.float32)
    np.testing.assert_allclose(main_gaze(tie), [0, 0], atol=1e-6)
    with pytest.raises(ValueError, match="no frames"):
        main_gaze(np.zeros((0, 2), np.float32))


def test_a_blink_shows_no_gaze():
    seen = np.array([[0.1, 0], [9, 9], [9, 9], [0.4, 0.3]])
    filled = gaze.through_blinks(seen, np.array([0.4, 0.05, 0.1, 0.4]))
    np.testing.assert_allclose(filled, [[0.1, 0], [0.2, 0.1], [0.3, 0.2], [0.4, 0.3]])
    np.testing.assert_array_equal(gaze.through_blinks(seen, np.zeros(4)), seen)


@needs_weights
def test_chips_are_square_and_black_outside(portrait):
    photo, landmarks = portrait
    chip = emotion.face_chip(photo, landmarks)
    assert chip[:, [0, -1]].any(), "the face's height fills the chip"
    # A face half out of the picture: what is in it does not move.
    cut = int(landmarks[1, 0])
    half = emotion.face_chip(np.ascontiguousarray(photo[:, cut:]), landmarks - (cut, 0, 0))
    assert (half[:, :50] == 0).all()
    assert np.abs(half[:, 60:].astype(int) - chip[:, 60:]).max() <= 1


@needs_weights
def test_labels_make_a_clip(labels):
    frames = [b"x"] * 3
    clip = Clip("a", "b", 512, frames, np.zeros(3 * 640, np.int16), **labels)
    check_clip(clip)
    assert set(labels) == {
        "rotation",
        "translation",
        "log_scale",
        "gaze",
        "main_gaze",
        "distance",
        "emotion",
        "points",
        "landmarks",
        "arkit",
    }
    assert labels["distance"] == pytest.approx(np.exp(-labels["log_scale"].mean()), rel=1e-5)
    np.testing.assert_array_equal(labels["gaze"][0], labels["gaze"][2])


@needs_weights
def test_an_astronaut_smiles_into_the_camera(labels):
    share = dict(zip(EMOTIONS, labels["emotion"], strict=True))
    assert share["happiness"] > 0.9 > 0.1 > share["neutral"]
    assert share["contempt"] == 0
    assert labels["emotion"].sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(np.degrees(labels["main_gaze"])).max() < 7
    assert np.abs(np.degrees(labels["rotation"])).max() < 15
    eyes, mouth = labels["points"][0, :2], labels["points"][0, 3:]
    assert eyes[0, 0] < eyes[1, 0]
    assert eyes[:, 1].max() < labels["points"][0, 2, 1] < mouth[:, 1].min()
    mesh = labels["landmarks"][0] / LANDMARK_UNIT
    np.testing.assert_allclose(mesh[1], labels["points"][0, 2], atol=1 / LANDMARK_UNIT)


@needs_weights
def test_a_mirror_mirrors_the_labels(labellers, labels, portrait):
    photo = np.ascontiguousarray(portrait[0][:, ::-1])
    other = labellers.label(photo[None], detect_faces(photo)[0].landmarks[None])
    turn, back = np.degrees(labels["rotation"][0]), np.degrees(other["rotation"][0])
    np.testing.assert_allclose(back, turn * (1, -1, -1), atol=2.5)
    look, away = np.degrees(labels["gaze"][0]), np.degrees(other["gaze"][0])
    np.testing.assert_allclose(away, look * (-1, 1), atol=3)
    np.testing.assert_allclose(other["log_scale"][0], labels["log_scale"][0], atol=0.03)
    np.testing.assert_allclose(
        other["translation"][0], labels["translation"][0] * (-1, 1, 1), atol=0.02
    )
    left, right = ARKIT.index("mouthSmileLeft"), ARKIT.index("mouthSmileRight")
    np.testing.assert_allclose(other["arkit"][0, left], labels["arkit"][0, right], atol=0.1)


class ToyGaze:
    """A plug-in: looks where the nose is."""

    def __call__(self, track):
        assert isinstance(track.pose, HeadPose)
        assert track.frames.dtype == np.uint8
        return track.landmarks[:, 1, :2] / 1000


class WrongShape:
    def __call__(self, track):
        return np.zeros(7)


class NotANumber:
    def __call__(self, track):
        return np.full((len(track.frames), 2), np.nan)


class Uncallable:
    pass


@needs_weights
def test_a_plug_in_replaces_one_labeller(portrait, labels):
    photo, landmarks = portrait
    chosen = Labellers(parse_choices([f"gaze={HERE}:ToyGaze"]))
    chosen.load()
    travelled = pickle.loads(pickle.dumps(chosen))
    found = travelled.label(photo[None], landmarks[None])
    np.testing.assert_allclose(found["gaze"][0], landmarks[1, :2] / 1000, rtol=1e-6)
    np.testing.assert_allclose(found["rotation"][0], labels["rotation"][0], atol=1e-6)


@needs_weights
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (f"emotion={HERE}:WrongShape", r"WrongShape gave numbers of shape \(7,\)"),
        (f"gaze={HERE}:NotANumber", "NotANumber gave numbers of shape"),
        (f"gaze={HERE}:Uncallable", "is not callable"),
        (f"gaze={HERE}:Nothing", "cannot be imported"),
        ("gaze=no_such_package_here:Thing", "cannot be imported"),
    ],
)
def test_a_bad_plug_in_is_named(portrait, choice, message):
    photo, landmarks = portrait
    with pytest.raises(UserError, match=message):
        Labellers(parse_choices([choice])).label(photo[None], landmarks[None])


class HalfMatte:
    """A plug-in: shares, as matting networks give them."""

    def __call__(self, track):
        assert track.pose is None
        return np.full(track.frames.shape[:3], 0.5)


class ByteMatte:
    def __call__(self, track):
        return track.frames[..., 0]


class TooMuch:
    def __call__(self, track):
        return np.full(track.frames.shape[:3], 1.01)


class NoShare:
    def __call__(self, track):
        return np.full(track.frames.shape[:3], np.nan)


class OneChannel:
    def __call__(self, track):
        return track.frames[..., :1]


def test_a_plug_in_makes_the_masks():
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), np.uint8)
    marks = np.zeros((3, 478, 3), np.float32)
    assert (Labellers({"mask": f"{HERE}:HalfMatte"}).masks(frames, marks) == 128).all()
    found = Labellers({"mask": f"{HERE}:ByteMatte"}).masks(frames, marks)
    np.testing.assert_array_equal(found, frames[..., 0])
    for name in ("TooMuch", "NoShare", "OneChannel"):
        with pytest.raises(UserError, match=rf"mask=.*{name} gave .* shares in 0..1"):
            Labellers({"mask": f"{HERE}:{name}"}).masks(frames, marks)


def test_numbers_need_no_network_for_masks(monkeypatch):
    """`evaluate` reads faces by the labellers and has no use for masks."""
    made = []
    monkeypatch.setattr(protocols, "_make", lambda kind, name: made.append(kind))
    Labellers().load(NUMBERS)
    assert made == ["pose", "gaze", "distance", "emotion", "arkit", "points"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["gaze"], "KIND=module:attribute"),
        (["gaze=module"], "KIND=module:attribute"),
        (["gaze=module:a-b"], "KIND=module:attribute"),
        (["gase=m:a"], "gaze"),
        (["gaze=m:a", "gaze=m:b"], "named twice"),
    ],
)
def test_choices_that_are_none(texts, message):
    with pytest.raises(UserError, match=message):
        parse_choices(texts)
    assert parse_choices(["gaze=a.b:C"]) == {"gaze": "a.b:C"}
