"""A driver whose face goes away, slides or jumps: where it is looked at, and what its pose says."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.assets import PORTRAIT, hum, write_wav
from vasa_jax import cli
from vasa_jax.errors import UserError
from vasa_jax.inference.driver import BLEND, Driver
from vasa_jax.inference.framing import (
    ENCODER_ROOM,
    VIEW_ROOM,
    Square,
    bridged,
    follow,
    refer,
    referred,
    square_around,
)
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.inference.portrait import cut_square
from vasa_jax.inference.progress import Reporter
from vasa_jax.media.video import read_video
from vasa_jax.media.writer import VideoWriter
from vasa_jax.perception.face_detector import detect_faces

WIDTH, HEIGHT, SIZE = 320, 180, 64
BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def face():
    """The portrait's head, cut out close."""
    photo = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    square = square_around(detect_faces(photo)[0].landmarks)
    return cut_square(photo, np.array(square[:2]), square.side, 256).image


@pytest.fixture(scope="module")
def put(face):
    """A frame with the head's square of `side` pixels about (x, y), on a plain ground."""

    def placed(x, y, side, ground=90):
        scale = side / 256
        matrix = np.array([[scale, 0, x - side / 2], [0, scale, y - side / 2]])
        frame = np.full((HEIGHT, WIDTH, 3), ground, np.uint8)
        return cv2.warpAffine(
            cv2.GaussianBlur(face, (0, 0), 0.4 / scale),
            matrix,
            (WIDTH, HEIGHT),
            frame,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )

    return placed


@pytest.fixture
def film(tmp_path):
    def written(frames, sound=None, name="driver.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(path, WIDTH, HEIGHT, audio_from=sound) as video:
            video.write(np.stack(frames))
        return path

    return written


def seen(driver):
    return np.concatenate(list(driver))


def place(driver):
    """Where the head is in the view, by the motion of an encoder that sees it always in the middle
    of its crop: the translation of every frame, and its log scale."""
    rows = np.zeros((len(seen(driver)), 7), np.float32)
    motion = driver.motion(rows)
    return motion[:, 3:5], motion[:, 6]


def middle_of_face(crop):
    marks = detect_faces(crop)[0].landmarks[:, :2]
    return (marks.min(0) + marks.max(0)) / 2 / len(crop)


def test_a_face_that_stays_is_seen_in_one_square(put, film):
    path = film([put(160 + 5 * np.sin(k), 90 + 3 * np.cos(k), 120 + k % 4) for k in range(16)])
    frames = list(read_video(path))
    square = square_around(detect_faces(frames[0])[0].landmarks)
    expected = [cut_square(f, np.array(square[:2]), square.side, SIZE).image for f in frames]
    driver = Driver(path, SIZE, 5)
    assert [len(batch) for batch in driver] == [5, 5, 5, 1]
    driver = Driver(path, SIZE, 5)
    np.testing.assert_array_equal(seen(driver), expected)
    rows = np.random.default_rng(0).normal(size=(16, 9)).astype(np.float32)
    np.testing.assert_array_equal(driver.motion(rows), rows)
    assert driver.notes() == []
    assert driver.breaks() == ""


def test_a_face_that_goes_away_is_bridged_and_told(put, film):
    head = put(160, 90, 120)
    path = film([BLACK] * 6 + [head] * 10 + [BLACK] * 25 + [put(165, 90, 120)] * 8 + [BLACK] * 6)
    driver = Driver(path, SIZE, 8)
    crops = seen(driver)
    assert len(crops) == 18
    assert crops.mean((1, 2, 3)).min() > 40  # no black picture is encoded
    rows = np.repeat([[1.0], [3.0]], [10, 8], axis=0).astype(np.float32) * np.ones(9, np.float32)
    rows[:, 3:7] = 0
    motion = driver.motion(rows)[:, 8]
    assert len(motion) == driver.count == 55
    np.testing.assert_array_equal(motion[:31], 1)  # held
    assert (np.diff(motion[30:42]) > 0).all()  # led over
    assert np.diff(motion[30:42]).max() < 0.5
    np.testing.assert_array_equal(motion[41:], 3)
    assert driver.gaps() == [(0, 6), (16, 41), (49, 55)]
    assert "0.64 to 1.64 s" in driver.notes()[0]


def test_a_cut_to_the_face_elsewhere_and_at_another_size(put, film):
    """Out of the first view: the head goes on from the middle, and the encoder sees it well."""
    path = film([put(80, 90, 110)] * 8 + [put(250, 120, 60, ground=200)] * 8)
    driver = Driver(path, SIZE, 8)
    crops = seen(driver)
    assert len(crops) == 16
    assert np.abs(middle_of_face(crops[-1]) - middle_of_face(crops[0])).max() < 0.04
    assert "0.32 s: the head is centred anew" in driver.notes()[0]
    where, size = place(driver)
    assert np.abs(where).max() < 1e-6
    assert np.abs(size).max() < 1e-6


def test_a_jump_within_the_view_is_expressed_in_the_pose(put, film):
    """Half as large and 40 px to the right: a square of 120 px has half sides of 60."""
    path = film([put(120, 90, 120)] * 8 + [put(160, 90, 60, ground=200)] * 8)
    driver = Driver(path, SIZE, 8)
    crops = seen(driver)
    assert np.abs(middle_of_face(crops[-1]) - middle_of_face(crops[0])).max() < 0.04
    where, size = place(driver)
    np.testing.assert_allclose(where[8:, 0] - where[7, 0], 40 / 60, atol=0.04)
    np.testing.assert_allclose(where[8:, 1] - where[7, 1], 0, atol=0.04)
    np.testing.assert_allclose(size[8:] - size[7], np.log(60 / 120), atol=0.06)
    assert "jumps at 0.32 s" in driver.notes()[0]


def test_a_face_that_slides_away_is_followed(put, film):
    path = film([put(80 + 5 * k, 90, 90) for k in range(34)])
    driver = Driver(path, SIZE, 8)
    crops = seen(driver)
    assert len(crops) == 34
    for crop in crops[::6]:
        middle = middle_of_face(crop)  # whole, with the first frame's square it left at frame 9
        assert abs(middle[1] - 0.52) < 0.05
        assert 0.45 < middle[0] < 0.76
    where, _ = place(driver)
    steps = np.diff(where[:, 0])
    assert np.abs(steps).max() < 0.16  # no faster than the face, 5 px of half sides of 45
    assert "leaves the view from" in driver.notes()[0]
    assert where[:, 0].max() < 1


def test_a_small_face_of_a_large_video_is_found_and_none_at_all_ends_it(put, film, tmp_path):
    large = np.full((1080, 1920, 3), 90, np.uint8)
    large[700:820, 1500:1620] = put(160, 90, 120)[30:150, 100:220]
    with VideoWriter(tmp_path / "large.mp4", 1920, 1080) as video:
        video.write(np.stack([large] * 3))
    crops = seen(Driver(tmp_path / "large.mp4", SIZE, 3))
    assert abs(middle_of_face(crops[0])[0] - 0.5) < 0.05
    driver = Driver(film([BLACK] * 60), SIZE, 8)
    with pytest.raises(UserError, match=r"no face found in the first 2 seconds.*crop closer"):
        seen(driver)
    assert driver.count == 50


def test_squares_give_way_as_little_as_they_must():
    marks = np.zeros((478, 3), np.float32)
    marks[:, :2] = np.random.default_rng(0).uniform(100, 200, (478, 2))
    low, high = marks[:, :2].min(0), marks[:, :2].max(0)
    square = square_around(marks)
    assert follow(square, marks, ENCODER_ROOM) is square
    inside = Square(high[0] - square.side, square.top, square.side)
    assert follow(inside, marks, ENCODER_ROOM) is inside
    beyond = inside._replace(left=inside.left - 30)
    moved = follow(beyond, marks, ENCODER_ROOM)
    np.testing.assert_allclose(moved, inside, atol=1e-3)
    edge = follow(beyond, marks, VIEW_ROOM)
    assert edge.left + edge.side == pytest.approx(
        high[0] - VIEW_ROOM.beyond * (high - low)[0], abs=1e-3
    )
    large = Square(-300.0, -320.0, 1000.0)
    shrunk = follow(large, marks, ENCODER_ROOM)
    assert float((high - low).mean()) / shrunk.side == pytest.approx(ENCODER_ROOM.least)
    share = ((low + high) / 2 - shrunk[:2]) / shrunk.side
    np.testing.assert_allclose(share, ((low + high) / 2 - large[:2]) / 1000, atol=1e-6)


def test_a_pose_in_another_square_is_the_same_head():
    """exp(s) R p + t of a point is the same pixel by both squares."""
    rng = np.random.default_rng(1)
    a, b = Square(10.0, 20.0, 80.0), Square(-5.0, 30.0, 100.0)
    motion = rng.normal(0, 0.3, (4, 9))
    moved = referred(motion, np.repeat(refer(a, b)[None], 4, axis=0))
    points = rng.normal(size=(4, 3))

    def pixels(rows, square):
        posed = np.exp(rows[:, 6:7]) * points + rows[:, 3:6]
        return np.array(square[:2]) + (posed[:, :2] + 1) / 2 * square.side

    np.testing.assert_allclose(pixels(moved, b), pixels(motion, a))
    np.testing.assert_array_equal(moved[:, :3], motion[:, :3])
    np.testing.assert_array_equal(moved[:, 7:], motion[:, 7:])
    np.testing.assert_array_equal(referred(motion, np.repeat(refer(a, a)[None], 4, 0)), motion)


def test_short_gaps_are_led_over_at_once():
    motion = np.array([[0.0], [4.0]], np.float32)
    found = bridged(motion, np.array([0, 4]), 5, BLEND)[:, 0]
    np.testing.assert_allclose(found, [0, 4 * 0.15625, 2, 4 * 0.84375, 4])
    assert found.dtype == np.float32


def test_motion_for_training_is_split(put, film, tmp_path, debug_bundle):
    from vasa_jax.training.motion_dataset.extract import extract_folder

    cut = [put(80, 90, 110)] * 12 + [put(250, 120, 60, ground=200)] * 14
    frames = cut + [BLACK] * 5 + [put(160, 90, 120)] * 3 + [BLACK] * 5 + [put(160, 90, 120)] * 11
    tone = write_wav(tmp_path / "a.wav", np.linspace(-0.9, 0.9, 50 * 640))
    video = film(frames, tone, "videos/id/a.mp4")
    encoder = MotionEncoder(debug_bundle.config, debug_bundle.params["face"], 8)
    out = tmp_path / "out"
    summary = extract_folder(video.parent.parent, out, encoder, Reporter("quiet"))
    assert summary.made == 1
    files = sorted(out.rglob("*.npz"))
    starts = {"a.mp4-000000.npz": 12, "a.mp4-000012.npz": 14, "a.mp4-000039.npz": 11}
    assert [f.name for f in files] == list(starts)
    said = summary.split["id/a.mp4"]
    assert "leaves the view at 0.48 s" in said
    assert "1.04 to 1.24 s, 1.36 to 1.56 s" in said
    for file, (name, count) in zip(files, starts.items(), strict=True):
        with np.load(file) as stored:
            assert stored["motion"].shape[0] == count
            assert len(stored["waveform"]) == count * 640
            first = int(name[-10:-4]) / 50 * 1.8 - 0.9  # the ramp says which second it is
            assert stored["waveform"][:640].mean() / 32767 == pytest.approx(first, abs=0.05)
    again = extract_folder(video.parent.parent, out, encoder, Reporter("quiet"))
    assert (again.made, again.skipped, again.minutes) == (0, 1, summary.minutes)
    files[1].unlink()  # a run that was cut off: the clip is not whole
    assert extract_folder(video.parent.parent, out, encoder, Reporter("quiet")).made == 1
    assert sorted(out.rglob("*.npz")) == files
    film([put(160, 90, 120)] * 12, tone, "videos/id/a.mp4")
    assert extract_folder(video.parent.parent, out, encoder, Reporter("quiet")).made == 1
    assert [f.name for f in out.rglob("*.npz")] == ["a.mp4.npz"]


@pytest.mark.parametrize("command", ["reenact", "generate"])
def test_the_user_is_told(put, film, tmp_path, capsys, command):
    driver = film([put(160, 90, 120)] * 8 + [BLACK] * 8 + [put(160, 90, 120)] * 4)
    output = tmp_path / "out.mp4"
    words = ["-d", driver]
    if command == "generate":
        words = ["-a", write_wav(tmp_path / "a.wav", hum(0.8)), "--pose-from", driver]
    words = [command, "-s", PORTRAIT, *words, "-o", output, "--config", "debug"]
    assert cli.main([str(word) for word in words]) == 0
    assert "driver.mp4: no face is seen from 0.32 to 0.64 s" in capsys.readouterr().err
    assert len(list(read_video(output))) == 20
