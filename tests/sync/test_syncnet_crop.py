"""The published crop: smoothing, margins, padding."""

import numpy as np
from numpy.testing import assert_allclose

from vasa_jax.sync.syncnet_crop import SIDE, crop_faces, face_boxes, smooth_boxes


def test_the_window_lies_as_published():
    """cs = 0.4: 1.4 half sizes to either side of the centre, 1 above and 1.8 below."""
    height, width, half = 400, 600, 50
    y, x = np.mgrid[:height, :width]
    frame = np.stack([x // 4, y // 4, np.zeros_like(x)], -1).astype(np.uint8)
    boxes = np.tile([250.0, 150.0, 350.0, 250.0], (20, 1))
    crop = list(crop_faces([frame] * 20, boxes))[10]
    assert crop.shape == (SIDE, SIDE, 3)
    # Centre (300, 200): columns 230 to 370, rows 150 to 290.
    assert_allclose(crop[112, :, 0].astype(float), np.linspace(230, 370, SIDE) / 4, atol=1.5)
    assert_allclose(crop[:, 112, 1].astype(float), np.linspace(150, 290, SIDE) / 4, atol=1.5)
    assert half == (boxes[0, 2] - boxes[0, 0]) / 2


def test_beyond_the_picture_is_grey():
    boxes = np.tile([0.0, 0.0, 60.0, 60.0], (15, 1))
    crop = list(crop_faces([np.full((100, 100, 3), 255, np.uint8)] * 15, boxes))[7]
    assert (crop[:, :25] == 110).all()
    assert (crop[30:, 120:200] == 255).all()


def test_jumps_of_a_few_frames_are_filtered():
    boxes = np.tile([100.0, 100.0, 200.0, 240.0], (40, 1))
    boxes[18:22] += 50
    found = smooth_boxes(boxes)[8:-8]
    assert_allclose(found, np.tile([150.0, 170.0, 70.0], (24, 1)))


def test_boxes_go_round_the_face_and_through_gaps():
    points = np.zeros((3, 478, 3))
    points[..., 0], points[..., 1] = np.linspace(10, 110, 478), np.linspace(20, 140, 478)
    points[2] += 10
    points[1] = np.nan
    boxes = face_boxes(points)
    assert_allclose(boxes[0], [4, 20, 116, 140])
    assert_allclose(boxes[1], boxes[0] + 5)
