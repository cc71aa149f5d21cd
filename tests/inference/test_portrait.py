"""Crops keep their promised proportions, and what is pasted back unchanged changes nothing."""

import cv2
import numpy as np
import pytest

from vasa_jax.errors import UserError
from vasa_jax.inference.continuation import ASIDE, DOWN, LEAST_SIDE, UP
from vasa_jax.inference.portrait import (
    FACE_CENTRE,
    FACE_SHARE,
    PasteBack,
    choose_face,
    crop_portrait,
    cut_square,
    face_square,
    fitted_square,
    whole_image_crop,
)
from vasa_jax.perception.face_detector import Face


def _face(x, y, width, height):
    corners = np.array([[x, y, 0], [x + width, y + height, 0]], np.float32)
    points = np.concatenate([corners, np.repeat(corners[:1] + 1, 476, axis=0)])
    return Face((x, y, width, height), 0.9, points)


def _smooth(height, width):
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / 17 + k) * np.cos(y / 23 - k) for k in range(3)]
    return np.round(np.stack(waves, -1)).astype(np.uint8)


def test_the_face_takes_its_share_of_the_crop():
    crop = crop_portrait(_smooth(500, 700), _face(250, 150, 160, 200), 256)
    scale = crop.matrix[0, 0]
    np.testing.assert_allclose(180 * scale / 256, FACE_SHARE, rtol=1e-6)
    centre = crop.matrix @ [250 + 80, 150 + 100, 1]
    np.testing.assert_allclose((centre + 0.5) / 256, FACE_CENTRE, atol=2 / 256)


def test_a_crop_shows_what_its_matrix_says():
    photo = _smooth(900, 900)
    crop = crop_portrait(photo, _face(200, 250, 420, 420), 128)  # shrinks by about six
    for x, y in ((20, 30), (64, 64), (100, 90)):
        linear, offset = crop.matrix[:, :2], crop.matrix[:, 2]
        px, py = np.linalg.solve(linear, np.array([x, y]) - offset)
        near = photo[round(py) - 3 : round(py) + 4, round(px) - 3 : round(px) + 4]
        assert np.abs(crop.image[y, x] - near.mean((0, 1))).max() < 4


@pytest.mark.parametrize("size", [(100, 300), (300, 100), (256, 256)])
def test_the_whole_image_fits_in_the_square(size):
    photo = _smooth(*size)
    crop = whole_image_crop(photo, 256)
    height, width = size
    corners = crop.matrix @ np.array([[-0.5, width - 0.5], [-0.5, height - 0.5], [1, 1]])
    edges = (corners + 0.5) / 256
    assert edges.min() == pytest.approx(0)
    assert edges.max() == pytest.approx(1)
    np.testing.assert_allclose(edges.sum(1), 1, atol=1e-6)  # centred
    if height == width:
        np.testing.assert_array_equal(crop.image, photo)


def test_the_same_crop_of_another_frame():
    photo = _smooth(400, 400)
    crop = crop_portrait(photo, _face(120, 120, 150, 150), 64)
    square = face_square(_face(120, 120, 150, 150).landmarks)
    np.testing.assert_array_equal(cut_square(photo, *square, 64).image, crop.image)
    other = cut_square(255 - photo, *square, 64).image
    assert np.abs(other.astype(int) + crop.image - 255).max() <= 1


@pytest.mark.parametrize("box", [(150, 120, 160, 180), (-40, -30, 200, 200)])
def test_pasting_the_crop_itself_changes_almost_nothing(box):
    photo = _smooth(481, 523)
    crop = crop_portrait(photo, _face(*box), 512)
    paste = PasteBack(photo, crop)
    assert (paste.width, paste.height) == (522, 480)
    result = paste(crop.image)
    assert np.abs(result.astype(int) - photo[:480, :522]).max() <= 4


def test_pasting_changes_the_middle_wholly_the_edge_softly_the_rest_not_at_all():
    photo = np.full((400, 400, 3), 50, np.uint8)
    crop = crop_portrait(photo, _face(150, 150, 100, 100), 128)
    result = PasteBack(photo, crop)(np.full((128, 128, 3), 250, np.uint8))
    np.testing.assert_array_equal(result[200, 200], 250)
    inside = np.linalg.solve(crop.matrix[:, :2], -0.5 - crop.matrix[:, 2])
    outside = np.ones((400, 400), bool)
    low, high = np.floor(inside).astype(int), np.ceil(inside + 100 / FACE_SHARE).astype(int) + 1
    outside[low[1] : high[1], low[0] : high[0]] = False
    np.testing.assert_array_equal(result[outside], 50)
    row = result[200, :, 0].astype(int)
    assert np.abs(np.diff(row)).max() < 25  # no visible seam


def test_a_huge_photo_is_shrunk_for_pasting():
    photo = np.zeros((3000, 6000, 3), np.uint8)
    crop = crop_portrait(photo, _face(2000, 1000, 800, 800), 64)
    paste = PasteBack(photo, crop)
    assert (paste.width, paste.height) == (4096, 2048)
    result = paste(np.full((64, 64, 3), 200, np.uint8))
    y, x = np.argwhere(result[..., 0] > 150).mean(0) * 6000 / 4096
    assert abs(x - 2400) < 30
    assert abs(y - (1400 - 0.02 * 800 / FACE_SHARE)) < 30


def test_choosing_a_face():
    faces = [_face(0, 0, 90, 90), _face(100, 0, 50, 50)]
    assert choose_face(faces[:1]) == (faces[0], None)
    face, note = choose_face(faces)
    assert face is faces[0]
    assert "2 faces" in note
    assert choose_face(faces, 2) == (faces[1], None)
    with pytest.raises(UserError, match="no face 3"):
        choose_face(faces, 3)
    with pytest.raises(UserError, match="no face 0"):
        choose_face(faces, 0)
    with pytest.raises(UserError, match="no face found"):
        choose_face([])


def _grain(height, width):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _share_outside(square, height, width):
    corner, side = square
    inner = [
        max(0.0, min(start + side, length - 0.5) - max(start, -0.5))
        for start, length in zip(corner, (width, height), strict=True)
    ]
    return 1 - inner[0] * inner[1] / side**2


BEYOND = {
    "corner": ((400, 400), (0, 0, 150, 150)),
    "left": ((400, 400), (-30, 150, 160, 160)),
    "right": ((300, 500), (400, 60, 140, 160)),
    "bottom": ((500, 300), (70, 390, 150, 150)),
    "tiny": ((128, 128), (10, 10, 110, 116)),
    "landscape": ((200, 600), (150, 10, 170, 185)),
    "portrait": ((600, 200), (10, 200, 180, 190)),
    "larger than the picture": ((160, 150), (-20, -30, 200, 230)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_no_stripes_beyond_the_edge(name):
    """Replicated borders are lines along which nothing changes, up to bilinear sampling."""
    shape, box = BEYOND[name]
    photo, face = _grain(*shape), _face(*box)
    corner, side = square = face_square(face.landmarks)
    assert _share_outside(square, *shape) > 0.03
    for found in (cut_square(photo, corner, side, 256), crop_portrait(photo, face, 256)):
        picture = found.image.astype(int)
        edges = found.matrix @ np.array([[-0.5, shape[1] - 0.5], [-0.5, shape[0] - 0.5], [1, 1]])
        first, last = np.ceil(edges[:, 0]).astype(int), np.floor(edges[:, 1]).astype(int)
        for axis, turned in ((0, picture.swapaxes(0, 1)), (1, picture)):
            for part in (turned[: max(first[axis], 0)], turned[max(last[axis] + 1, 0) :]):
                if len(part) >= 8:  # across the picture's edge, something changes in every line
                    assert (np.abs(np.diff(part, axis=0)).max((0, 2)) > 0).mean() > 0.95


@pytest.mark.parametrize("name", BEYOND)
def test_a_crop_moves_and_shrinks_within_its_limits_before_anything_is_invented(name):
    shape, box = BEYOND[name]
    square = corner, side = face_square(_face(*box).landmarks)
    start, fit = fitted_square(_grain(*shape), corner, side)
    assert LEAST_SIDE * side - 1e-9 <= fit <= side
    middle = np.array(FACE_CENTRE)
    head = (corner + middle * side - start) / fit - middle  # how far it moves in the square
    assert np.abs(head[0]) <= ASIDE + 1e-9
    assert -UP - 1e-9 <= head[1] <= DOWN + 1e-9
    before, after = (_share_outside(s, *shape) for s in (square, (start, fit)))
    assert after < before
    # What is still invented is so at the least side alone.
    assert after < 1e-9 or fit == pytest.approx(LEAST_SIDE * side)


def test_a_crop_that_fits_by_moving_keeps_its_size_and_invents_nothing():
    photo = _smooth(400, 400)
    corner, side = face_square(_face(110, 200, 150, 150).landmarks)
    assert 0.5 < corner[1] + side - 399.5 < DOWN * side
    start, fit = fitted_square(photo, corner, side)
    assert fit == side
    np.testing.assert_allclose(start, [corner[0], 399.5 - side])
    # One that lies inside is not touched, to the last bit, and sampled as ever.
    inside = face_square(_face(120, 130, 120, 130).landmarks)
    found = fitted_square(photo, *inside)
    np.testing.assert_array_equal(found[0], inside[0])
    assert found[1] == inside[1]
    crop = crop_portrait(photo, _face(120, 130, 120, 130), 256)
    want = cv2.warpAffine(
        photo, crop.matrix, (256, 256), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    np.testing.assert_array_equal(crop.image, want)


def test_what_is_invented_is_blurred_more_with_distance_and_begins_without_an_edge():
    photo = _grain(128, 128)
    crop = cut_square(photo, np.array([-64.5, -0.5]), 128.0, 128)  # its left half is invented
    invented, shown = crop.image[:, :64].astype(float), crop.image[:, 64:]
    np.testing.assert_array_equal(shown, photo[:, :64])
    spread = invented[:, ::-1].std((0, 2))  # from the edge outwards
    assert spread[0] > 50 > 20 > spread[16:32].mean() > spread[32:].mean() > 1
    smooth = cut_square(_smooth(128, 128), np.array([-64.5, -0.5]), 128.0, 128).image.astype(int)
    step = np.abs(np.diff(smooth, axis=1)).mean((0, 2))
    assert step[60:68].max() < 1.5 * step[64:].max()
