"""Augmentations against scikit-image, SciPy and the geometry of the face model."""

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator
from scipy.spatial.transform import Rotation
from skimage.color import rgb2yiq, yiq2rgb

from tests.data_pipeline.helpers import picture
from vasa_jax.data_pipeline import augment
from vasa_jax.data_pipeline.augment_flip import (
    SWAPPED_ARKIT,
    flip_arkit,
    flip_gaze,
    flip_points,
    flip_rotation,
    flip_translation,
)
from vasa_jax.data_pipeline.loading.pairs import (
    Augment,
    face_box,
    make_view,
    sample_view_augmentation,
)
from vasa_jax.typing import ARKIT


@pytest.mark.parametrize("seed", range(3))
def test_colours_match_scikit_image(seed):
    rng = np.random.default_rng(seed)
    image = picture(40, seed)
    brightness, contrast, saturation = rng.uniform(0.7, 1.3, 3)
    hue = rng.uniform(-0.2, 0.2)
    yiq = rgb2yiq(image)
    colour = saturation * (yiq[..., 1] + 1j * yiq[..., 2]) * np.exp(2j * np.pi * hue)
    turned = yiq2rgb(np.stack([yiq[..., 0], colour.real, colour.imag], axis=-1))
    wanted = np.clip(brightness * ((turned - 0.5) * contrast + 0.5), 0, 1) * 255
    matrix = augment.colour_matrix(brightness, contrast, saturation, hue)
    found = augment.recolour(image, matrix)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, wanted, atol=0.75)  # OpenCV rounds in fixed point


def test_no_change_of_colours_is_no_change():
    image = picture(40, 1)
    np.testing.assert_array_equal(augment.recolour(image, augment.colour_matrix()), image)


def test_colours_are_drawn_within_their_limits():
    rng = np.random.default_rng(0)
    grey = np.full((1, 1, 3), 128, np.uint8)
    values = [augment.recolour(grey, augment.draw_colours(rng, augment.MILD)) for _ in range(50)]
    values = np.array(values).reshape(50, 3)
    assert values.min() >= 128 * 0.9 - 1
    assert values.max() <= 128 * 1.1 + 1
    assert values[:, 0].std() > 2
    assert np.ptp(values, axis=1).max() <= 1  # grey stays grey under hue and saturation


@pytest.mark.parametrize("size", [64, 100])
def test_thin_plate_matches_scipy(size):
    rng = np.random.default_rng(3)
    displacement = rng.normal(0, 0.05, (25, 2))
    side = np.linspace(0, 1, 5)
    control = np.array([(x, y) for y in side for x in side])
    spline = RBFInterpolator(control, displacement, kernel="thin_plate_spline")
    centres = (np.arange(size) + 0.5) / size
    pixels = np.array([(x, y) for y in centres for x in centres])
    wanted = (pixels + spline(pixels)).reshape(size, size, 2) * size - 0.5
    found = augment.thin_plate(displacement, size)
    # Bilinear between the points of the lattice, in OpenCV's fixed point: shares of a width.
    assert np.abs(found - wanted).max() < 0.0015 * size
    assert np.abs(found - wanted).mean() < 0.0001 * size


def test_the_spline_is_exact_on_the_lattice():
    rng = np.random.default_rng(4)
    displacement = rng.normal(0, 0.05, (25, 2))
    side = np.linspace(0, 1, 5)
    control = np.array([(x, y) for y in side for x in side])
    spline = RBFInterpolator(control, displacement, kernel="thin_plate_spline")
    cells = np.linspace(0, 1, augment.LATTICE + 1)
    lattice = np.array([(x, y) for y in cells for x in cells])
    weights, _ = augment.plate_weights()
    np.testing.assert_allclose(weights @ displacement, spline(lattice), atol=1e-9)


def test_a_drawn_warp_moves_the_face_nowhere_on_average():
    rng = np.random.default_rng(5)
    side = np.linspace(0, 1, 5)
    control = np.array([(x, y) for y in side for x in side])
    displacement = augment.draw_warp(rng, 0.02)
    plane = np.concatenate([np.ones((25, 1)), control], axis=1)
    coefficients, *_ = np.linalg.lstsq(plane, displacement, rcond=None)
    np.testing.assert_allclose(coefficients, 0, atol=1e-12)
    assert 0.01 < displacement.std() < 0.03


def test_a_warp_of_nothing_is_the_picture_and_a_shift_is_a_shift():
    image = picture(64, 2)
    still = augment.thin_plate(np.zeros((25, 2)), 64)
    np.testing.assert_array_equal(augment.warp(image, still), image)
    moved = augment.thin_plate(np.tile([4 / 64, -2 / 64], (25, 1)), 64)
    found = augment.warp(image, moved)
    np.testing.assert_allclose(found[2:, :-4], image[:-2, 4:], atol=1)


def test_outside_of_the_box_is_one_colour():
    image = picture(40, 3)
    found = augment.keep_box(image, np.array([0.25, 0.5, 0.75, 1.4]), np.array([10.0, 20.2, 30.0]))
    np.testing.assert_array_equal(found[20:, 10:30], image[20:, 10:30])
    np.testing.assert_array_equal(found[:20], np.broadcast_to([10, 20, 30], (20, 40, 3)))
    np.testing.assert_array_equal(found[20:, :10], np.broadcast_to([10, 20, 30], (20, 10, 3)))


def _project(rotation, translation, log_scale, model):
    """Where the face model's convention puts points of a head in the picture, as shares."""
    turned = model @ Rotation.from_euler("xyz", rotation).as_matrix().T * np.exp(log_scale)
    return (turned[:, :2] + translation[:2] + 1) / 2


def test_flipped_labels_describe_the_mirrored_picture():
    """A head that is symmetric about x = 0, so that mirroring swaps its left and right points."""
    rng = np.random.default_rng(6)
    model = np.array(
        [[-0.2, 0, -0.1], [0.2, 0, -0.1], [0, 0.2, -0.3], [-0.15, 0.4, -0.1], [0.15, 0.4, -0.1]]
    )
    rotation = rng.uniform(-0.4, 0.4, 3).astype(np.float32)
    translation = rng.uniform(-0.2, 0.2, 3).astype(np.float32)
    points = _project(rotation, translation, 0.1, model)
    mirrored = _project(flip_rotation(rotation), flip_translation(translation), 0.1, model)
    np.testing.assert_allclose(flip_points(points), mirrored, atol=1e-6)
    np.testing.assert_array_equal(flip_points(flip_points(points)).round(12), points.round(12))


def test_flipped_gaze_looks_to_the_other_side():
    def direction(gaze):
        yaw, pitch = gaze
        return np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)])

    gaze = np.array([0.3, -0.2])
    np.testing.assert_allclose(direction(flip_gaze(gaze)), direction(gaze) * [-1, 1, 1])


def test_flipped_coefficients_change_sides():
    one = np.zeros((2, 52), np.float32)
    one[0, ARKIT.index("mouthSmileLeft")] = 1
    one[0, ARKIT.index("jawOpen")] = 0.5
    found = flip_arkit(one)
    assert found[0, ARKIT.index("mouthSmileRight")] == 1
    assert found[0, ARKIT.index("mouthSmileLeft")] == 0
    assert found[0, ARKIT.index("jawOpen")] == 0.5
    assert [ARKIT[i] for i in SWAPPED_ARKIT if ARKIT[i].startswith("jaw")] == [
        "jawForward",
        "jawRight",
        "jawOpen",
        "jawLeft",
    ]
    np.testing.assert_array_equal(flip_arkit(found), one)


def test_the_face_stays_in_the_drivers_view_and_the_corners_go():
    points = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.43, 0.62], [0.57, 0.62]], np.float32)
    image = np.full((64, 64, 3), 200, np.uint8)
    how = Augment(view_colours=None, view_warp=0.0)
    for seed in range(10):
        view = make_view(
            image,
            {"points": points},
            how,
            sample_view_augmentation(np.random.default_rng(seed), how),
        )
        inside = (points * 64).astype(int)
        assert (view[inside[:, 1], inside[:, 0]] == 200).all()
        assert (view[0, 0] == view[-1, -1]).all()
        if (view[0, 0] == 200).all():
            continue
        assert (view == view[0, 0]).all(-1).mean() > 0.2
        break
    else:
        pytest.fail("the box never left anything out")


def test_both_ways_to_find_the_face_agree():
    """An average frontal head: pupils 0.65 of the outer corners' distance apart (ArcFace's template
    and `EYE_SPAN` speak of one face)."""
    span = 0.28
    eyes = 0.65 * span
    points = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.42, 1.16], [0.42, 1.16]]) * eyes
    points = (points + np.array([0.5, 0.45])).astype(np.float32)
    labels = {
        "translation": np.array([0, -0.1, 0], np.float32),
        "log_scale": np.zeros(1, np.float32),
    }
    (a, wide_a), (b, wide_b) = face_box({"points": points}), face_box(labels)
    np.testing.assert_allclose(a, b, atol=0.05)
    assert abs(wide_a / wide_b - 1) < 0.15
    assert face_box({"rotation": np.zeros(3, np.float32)}) is None
