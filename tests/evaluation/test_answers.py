"""Response to single ARKit coefficients: commands, measurements, summary."""

import json

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from tests import needs
from vasa_jax.errors import UserError
from vasa_jax.evaluation.answers import (
    JAWS,
    LID_BROWS,
    LIDS,
    command_motion,
    commands,
    main,
    measure_answer,
    summary,
    table,
)
from vasa_jax.extensions.arkit_code import label_code
from vasa_jax.perception.face_statistics import CHIN, FOREHEAD, INNER_LIPS, LOWER_LIP, UPPER_LIP
from vasa_jax.typing import ARKIT, POSE_DIM

SIDE, HEIGHT = 200, 100.0


def mesh(gap, lids=10.0, brow=0.0):
    """Landmarks of a flat face of `HEIGHT` pixels, its lips `gap` of that apart."""
    at = np.full((478, 3), 100.0, np.float32)
    at[:, 2] = 0
    at[FOREHEAD, 1], at[CHIN, 1] = 50, 50 + HEIGHT
    angle = np.linspace(0, 2 * np.pi, len(INNER_LIPS), endpoint=False)
    at[list(INNER_LIPS), 0] = 100 + 15 * np.cos(angle)
    at[list(INNER_LIPS), 1] = 120 + gap * HEIGHT / 2 * np.sin(angle)
    at[UPPER_LIP, 1], at[LOWER_LIP, 1] = 120 - gap * HEIGHT / 2, 120 + gap * HEIGHT / 2
    for upper, lower in LIDS:
        at[upper, 1], at[lower, 1] = 80, 80 + lids
    at[list(LID_BROWS), 1] = 70 + brow
    return at


def test_a_command_is_one_coefficient_in_the_portraits_own_pose_and_gaze():
    own = np.random.default_rng(0).normal(size=POSE_DIM + 64).astype(np.float32)
    told = command_motion(own)
    assert told.shape == (len(JAWS) + 1, POSE_DIM + 64)
    np.testing.assert_array_equal(told[:, :POSE_DIM], np.tile(own[:POSE_DIM], (len(told), 1)))
    eyes = own[POSE_DIM + 52 : POSE_DIM + 54] / 4
    want = label_code(jnp.asarray(commands()), jnp.tile(eyes, (len(told), 1)), 64)
    np.testing.assert_allclose(told[:, POSE_DIM:], want, rtol=1e-6)
    rows = commands()
    assert (np.count_nonzero(rows[1:-1], 1) == 1).all()
    assert {ARKIT[k] for k in np.flatnonzero(rows[-1])} == {"eyeBlinkLeft", "eyeBlinkRight"}


def test_measurements_are_of_what_was_drawn():
    gaps = [0.05, 0.0, 0.0, 0.02, 0.04, 0.08, 0.12]
    marks = np.stack([*(mesh(gap) for gap in gaps), mesh(0.0, lids=2.5, brow=1.0)])
    frames = np.full((len(gaps), SIDE, SIDE, 3), 200, np.uint8)
    for frame, one in zip(frames[:-1], marks[1:-1], strict=True):  # dark between the lips
        cv2.fillPoly(frame, [one[list(INNER_LIPS), :2].round().astype(np.int32)], (20, 20, 20))
    found = measure_answer(frames, marks)
    assert found.own_gap == pytest.approx(0.05)
    np.testing.assert_allclose(found.gap, gaps[1:], atol=1e-6)
    assert np.isnan(found.contrast[:2]).all()
    assert (found.visible[-2:] == 1).all()
    assert found.lids == pytest.approx(0.25)
    assert found.brow == pytest.approx(0.01)
    pink = np.broadcast_to(np.array([200, 90, 90], np.uint8), frames.shape)
    pale = measure_answer(pink, marks)
    assert (pale.visible[-2:] == 0).all()
    assert pale.contrast[-1] < 1e-6

    whole = summary([found, pale])
    assert whole["portraits"] == 2
    assert whole["jaw"][-1]["gap"] == pytest.approx(0.12)
    assert whole["jaw"][-1]["dark or teeth"] == 0.5
    assert "contrast" not in whole["jaw"][0]
    assert whole["open portraits told to close"] == {"portraits": 2, "gap": 0.0, "largest": 0.0}
    text = table(json.loads(json.dumps(whole)))
    assert "| 0.6 | 0.120 | 2 |" in text
    assert "brows move 0.0100" in text


def test_folders_without_photos_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no photos"):
        main([str(tmp_path)])


@pytest.mark.slow
def test_the_demo_opens_its_mouth(tmp_path, capsys):
    needs.require_weights("face-landmarker")
    from vasa_jax.media.image import read_image, write_image

    write_image(tmp_path / "face.png", read_image("examples/portrait.jpg"))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert main([str(tmp_path), "-o", str(tmp_path / "out" / "a.json")]) == 0
    assert "left out" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "a.json").read_text())
    gaps = [row["gap"] for row in found["jaw"]]
    assert gaps[-1] - gaps[0] > 0.03
    # This one smiles with her teeth, and does not close her lips yet.
    assert found["open portraits told to close"]["portraits"] == 1
