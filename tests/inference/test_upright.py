"""A portrait that lies on its side comes out upright, and the user hears of it."""

import cv2
import numpy as np
import pytest

from tests.assets import PORTRAIT
from vasa_jax.inference import upright
from vasa_jax.inference.generate import load_portrait
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Picture
from vasa_jax.inference.upright import find_upright, roll_of
from vasa_jax.media.image import read_image, write_image
from vasa_jax.perception.face_detector import Face, detect_faces


class Notes(Reporter):
    def __init__(self):
        super().__init__("quiet")
        self.lines = []

    def note(self, message):
        self.lines.append(message)


def slanted(photo, degrees):
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("degrees", [0, -40, 40])
def test_upright_and_slanted_photos_stay_as_they_are(degrees):
    photo = slanted(read_image(PORTRAIT), degrees)
    found = find_upright(photo)
    assert found.photo is photo
    assert found.note is None
    assert roll_of(found.faces[0]) == pytest.approx(3 - degrees, abs=8)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photo_is_turned_back(tmp_path, turns):
    photo = read_image(PORTRAIT)
    write_image(tmp_path / "a.png", np.rot90(photo, turns))
    notes = Notes()
    wanted = load_portrait(PORTRAIT, Picture(), 256, notes)
    assert not notes.lines
    found = load_portrait(tmp_path / "a.png", Picture(paste_back=True), 256, notes)
    np.testing.assert_array_equal(found.photo, photo)
    np.testing.assert_array_equal(found.crop.image, wanted.crop.image)
    assert len(notes.lines) == 1
    assert ("upside down" if turns == 2 else "side") in notes.lines[0]


def test_a_face_on_its_head_that_is_taken_for_an_upright_one(monkeypatch):
    """Seven of 36 portraits were: the detector is less sure of them than of the turned photo."""
    upside = np.zeros((8, 8, 3), np.uint8)
    upside[0] = 1  # so that turning it is seen

    def face(score):
        points = np.zeros((478, 3), np.float32)
        points[263, 0] = 1
        return Face((0.0, 0.0, 1.0, 1.0), score, points)

    scores = {0: 0.75, 7: 0.95}
    monkeypatch.setattr(
        upright,
        "detect_faces",
        lambda image, fine: [face(scores[int(image[:, 0, 0].argmax())])],
    )
    found = find_upright(upside)
    assert found.faces[0].score == 0.95
    assert "180" in found.note
    scores[7] = 0.8  # not clearly better
    assert find_upright(upside).note is None
    scores[0] = 0.95  # sure: not even tried
    assert find_upright(upside).photo is upside


def test_nothing_to_turn():
    blank = np.full((200, 200, 3), 90, np.uint8)
    found = find_upright(blank)
    assert found.photo is blank
    assert not found.faces
    assert found.note is None
    photo = read_image(PORTRAIT)
    assert len(find_upright(photo, 5).faces) == len(detect_faces(photo))  # told by choose_face
