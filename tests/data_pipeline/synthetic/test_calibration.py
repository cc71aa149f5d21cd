"""Statistics of talking faces: on signals and pictures whose figures are known."""

import cv2
import numpy as np
import pytest

from tests import needs
from tests.assets import PORTRAIT
from vasa_jax.data_pipeline.synthetic.calibration import clip_statistics, compare, main, page
from vasa_jax.perception import face_statistics as measure
from vasa_jax.typing import ARKIT, FPS

RNG = np.random.default_rng(0)
SKIN, LIP, TOOTH, BLACK, PINK = (
    (200, 160, 140),
    (180, 90, 90),
    (225, 220, 205),
    (25, 12, 12),
    (190, 110, 110),
)


def mesh(gap=20.0, height=150.0, size=256):
    """Landmarks of a face in the middle whose lips are an ellipse `gap` pixels high."""
    marks = np.full((478, 3), size / 2)
    marks[:, 0] += RNG.uniform(-40, 40, 478)
    marks[measure.FOREHEAD, :2] = size / 2, size / 2 - 0.65 * height
    marks[measure.CHIN, :2] = size / 2, size / 2 + 0.35 * height
    corner = np.linspace(np.pi, -np.pi, len(measure.INNER_LIPS), endpoint=False)
    for number, angle in zip(measure.INNER_LIPS, corner, strict=True):
        marks[number, :2] = (size / 2 + 30 * np.cos(angle), size / 2 - 0.5 * gap * np.sin(angle))
    marks[measure.UPPER_LIP, :2] = size / 2, size / 2 - 0.5 * gap
    marks[measure.LOWER_LIP, :2] = size / 2, size / 2 + 0.5 * gap
    return marks.astype(np.float32)


def picture(upper, lower, gap=20.0):
    """A face whose opening is of one colour above and another below its middle."""
    image = np.full((256, 256, 3), SKIN, np.uint8)
    for colour, rows in ((upper, slice(0, 128)), (lower, slice(128, 256))):
        inside = np.zeros((256, 256), np.uint8)
        cv2.ellipse(inside, (128, 128), (30, round(gap / 2)), 0, 0, 360, 1, -1)
        image[rows][inside[rows] > 0] = colour
    return image


def test_teeth_over_a_cavity_are_seen_as_such():
    found = measure.mouth_inside(picture(TOOTH, BLACK), mesh())
    assert 0.3 < found.teeth < 0.6
    assert 0.3 < found.dark < 0.6
    assert found.contrast > 0.4
    assert found.visible


def test_a_pink_blob_is_neither():
    found = measure.mouth_inside(picture(PINK, PINK), mesh())
    assert found.teeth < 0.05
    assert found.dark < 0.05
    assert found.contrast < 0.05
    assert not found.visible


def test_size_and_place_of_the_face_do_not_matter():
    small = measure.mouth_inside(picture(TOOTH, BLACK), mesh())
    image = cv2.resize(picture(TOOTH, BLACK), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    image = np.roll(image, (20, 30), (0, 1))
    large = measure.mouth_inside(image, mesh() * 2 + [30, 20, 0])
    np.testing.assert_allclose(large, small, atol=0.06)


def test_shut_lips_have_no_inside():
    assert measure.mouth_inside(picture(PINK, PINK, 2), mesh(0.5)) is None


def test_gaps_are_shares_of_the_face():
    marks = np.stack([mesh(gap, height) for gap, height in ((15, 150), (30, 150), (30, 300))])
    np.testing.assert_allclose(measure.lip_gap(marks), [0.1, 0.2, 0.1], rtol=1e-5)


def test_openings_are_counted():
    clock = np.arange(10 * FPS) / FPS
    gap = 0.04 * (1 - np.cos(2 * np.pi * 2 * clock))  # twice a second, up to 0.08
    found = measure.mouth_statistics(gap, [None] * len(gap))
    assert found["openings a second"] == pytest.approx(2, abs=0.1)
    assert found["lip gap amplitude"] == pytest.approx(0.08, abs=0.004)
    assert found["lip gap speed"] == pytest.approx(2 * 2 * 0.08, rel=0.05)
    assert 0.1 < found["lips together"] < 0.35
    assert "contrast inside" not in found
    tremble = measure.mouth_statistics(0.1 * gap, [None] * len(gap))
    assert tremble["openings a second"] == 0


def test_heads_move_by_degrees_a_frame():
    degrees = np.stack([np.arange(200) * 0.3, np.zeros(200), np.zeros(200)], 1)
    found = measure.head_statistics(np.radians(degrees))
    assert found["head speed"] == pytest.approx(0.1, rel=0.03)  # mean over three angles
    assert found["pitch spread"] == pytest.approx(degrees[:, 0].std(), rel=0.03)
    assert found["yaw spread"] == 0


def test_blinks_and_shifts_of_gaze():
    arkit, gaze = np.zeros((10 * FPS, 52)), np.zeros((10 * FPS, 2))
    for start in (20, 90, 160):
        arkit[start : start + 5, [ARKIT.index(f"eyeBlink{s}") for s in ("Left", "Right")]] = 0.9
    gaze[100:] = np.radians([6, 0])
    gaze[180:] = 0
    found = measure.eye_statistics(arkit, gaze)
    assert found["blinks a minute"] == pytest.approx(18)
    assert found["blink length"] == pytest.approx(5 / FPS)
    assert found["blink peak"] == pytest.approx(0.9)
    assert found["gaze shifts a second"] == pytest.approx(0.2)
    assert "blink length" not in measure.eye_statistics(np.zeros((50, 52)), np.zeros((50, 2)))


def test_lids_that_hang_at_half_do_not_blink():
    arkit = np.zeros((250, 52))
    lids = [ARKIT.index("eyeBlinkLeft"), ARKIT.index("eyeBlinkRight")]
    arkit[50:, lids] = np.where(np.arange(200) % 2, 0.45, 0.55)[:, None]
    assert measure.eye_statistics(arkit, np.zeros((250, 2)))["blinks a minute"] == 0
    arkit[120:124, lids] = 1.0
    found = measure.eye_statistics(arkit, np.zeros((250, 2)))
    assert found["blinks a minute"] == pytest.approx(6)
    assert found["blink length"] == pytest.approx(5 / FPS, abs=1 / FPS)


def test_brows_that_rise_have_a_spread():
    marks = np.stack([mesh()] * 40)
    marks[:, list(measure.BROWS), 1] -= 30
    still = measure.brow_statistics(marks)["brow spread"]
    marks[::2, list(measure.BROWS), 1] -= 0.04 * 150
    assert still == pytest.approx(0, abs=1e-6)
    assert measure.brow_statistics(marks)["brow spread"] > 0.005


def test_the_page_says_what_is_near():
    real = [{"a": 1.0, "b": 2.0, "c": 0.0}, {"a": 1.2, "b": 2.2, "c": 0.0}]
    rows = compare(real, [{"a": 1.25, "b": 4.0, "c": 1.0}, {"a": 1.05}])
    assert {name: near for name, _, _, near in rows} == {"a": True, "b": False, "c": None}
    text = page(rows, (2, 2))
    assert "| a | 1.1 [1.05, 1.15] | 1.15 [1.1, 1.2] | 1.05 | yes |" in text
    assert text.count("\n| ") == 4


def test_folders_without_clips_are_refused(tmp_path, capsys):
    from vasa_jax.errors import UserError

    with pytest.raises(UserError, match="no such folder"):
        main([str(tmp_path / "none"), str(tmp_path)])


class Labels:
    """A still head that looks ahead and does not blink."""

    def label(self, frames, landmarks):
        rows = {"rotation": 3, "gaze": 2, "arkit": 52}
        return {name: np.zeros((len(frames), width), np.float32) for name, width in rows.items()}


@needs.weights("face-landmarker")
def test_a_clip_is_measured_where_its_face_is_seen():
    portrait = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    found = clip_statistics(np.stack([small] * 30), Labels())
    assert found["head speed"] == 0
    assert found["lip gap amplitude"] < 0.01
    assert found["brow spread"] < 0.01
    assert found["blinks a minute"] == 0
    assert clip_statistics(np.zeros((30, 128, 128, 3), np.uint8), Labels()) == {}
