"""The error table of the labellers: known errors come out as such."""

import numpy as np
import pytest
from skimage import data

from tests import needs
from vasa_jax.data_pipeline.clip import Clip, write_clip
from vasa_jax.data_pipeline.loading.image_codec import encode_png
from vasa_jax.data_pipeline.prepare.labels import Labellers, accuracy
from vasa_jax.typing import ARKIT

needs_weights = needs.weights("face-landmarker", "face-expression")


def test_angle_between_lines_of_sight():
    a = np.radians([[0, 0], [10, 0], [30, 20], [0, 0]])
    b = np.radians([[0, 7], [-10, 0], [30, 20], [180, 0]])
    np.testing.assert_allclose(accuracy.angle_between(a, b), [7, 20, 0, 180], atol=1e-4)


def test_errors_of_masks_are_shares_of_the_picture():
    truth, found = np.zeros((2, 2, 10, 10), np.uint8)
    truth[:, :, :5], found[0, :, :4], found[1] = 255, 255, 51
    found[1, :, :5] = 255
    errors = accuracy.mask_errors(truth, found)
    np.testing.assert_allclose(errors, [[0.1, -0.1, 0.8], [0.1, 0.1, 1.0]], atol=1e-6)
    empty = np.zeros((1, 4, 4), np.uint8)
    np.testing.assert_array_equal(accuracy.mask_errors(empty, empty), [[0, 0, 0]])


def row(table, name):
    (line,) = [text for text in table.splitlines() if text.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@needs_weights
def test_the_table_of_a_clip_with_known_errors(tmp_path, capsys):
    import cv2

    photo = np.ascontiguousarray(data.astronaut()[:320, 64:384])
    jpeg = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    grey = cv2.imencode(".jpg", np.full((320, 320, 3), 90, np.uint8))[1].tobytes()
    frames = accuracy.decode([jpeg, jpeg, grey])
    landmarks, seen = accuracy.find_landmarks(frames)
    assert seen.tolist() == [True, True, False]
    labels = Labellers().label(frames[:2], landmarks[:2])
    labels["rotation"][:, 1] += np.radians([3, 5])
    labels["gaze"][:, 1] -= np.radians(2)
    labels["distance"] = labels["distance"] / np.float32(1.25)
    labels["arkit"][:, ARKIT.index("jawOpen")] = [0.0, 1.0]
    for name in ("rotation", "translation", "log_scale", "gaze", "points", "arkit", "landmarks"):
        labels[name] = np.concatenate([labels[name], labels[name][:1]])
    wrong = np.zeros((320, 320), np.uint8)
    wrong[:, 128:] = 255
    labels["masks"] = [encode_png(wrong)] * 3
    clip = Clip("a", "b", 320, [jpeg, jpeg, grey], np.zeros(3 * 640, np.int16), **labels)
    write_clip(tmp_path / "a.npz", clip)
    matte = "mask=tests.data_pipeline.prepare.helpers:Left"
    assert accuracy.main([str(tmp_path), "--labeller", matte]) == 0
    table = capsys.readouterr().out
    assert "3 frames, no face found in 1." in table
    assert float(row(table, "head yaw, deg")[0]) == pytest.approx(4, abs=0.05)
    assert float(row(table, "head yaw, deg")[3]) == pytest.approx(-4, abs=0.05)
    assert float(row(table, "head roll, deg")[0]) < 0.05
    assert float(row(table, "head rotation, deg")[0]) == pytest.approx(4, abs=0.1)
    assert float(row(table, "gaze, deg")[0]) == pytest.approx(2, abs=0.05)
    assert float(row(table, "gaze pitch, deg")[3]) == pytest.approx(2, abs=0.05)
    assert row(table, "distance")[0] == "25.00 %"
    assert float(row(table, "emotion, sum of share errors")[0]) < 0.01
    assert row(table, "emotion, largest share is the same")[0] == "100 %"
    assert "| jawOpen | 0.50 |" in table
    assert row(table, "mask, share of the picture")[0] == "90.00 %"
    assert row(table, "mask, share of the picture")[3] == "-10.00"
    found = row(table, "mask, intersection over union (third: 5 % below)")
    assert found[:3] == ["0.100", "0.100", "0.100"]
    assert "| mouthSmileLeft |" not in table  # it does not move


def test_what_there_is_none_of_is_told(tmp_path, capsys):
    assert accuracy.main([str(tmp_path)]) == 2
    assert "has no .npz clips" in capsys.readouterr().err
