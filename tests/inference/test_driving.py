"""A video drives a portrait: its pose is kept exactly, its motion moves the face."""

import numpy as np
import pytest

from tests.assets import PORTRAIT, hum, write_wav
from tests.inference.test_extract import moving, write_video
from tests.inference.test_generate import _read
from vasa_jax import cli
from vasa_jax.errors import UserError
from vasa_jax.inference.driving import driving_motion
from vasa_jax.inference.request import Controls
from vasa_jax.typing import POSE_DIM


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("driving")
    write_wav(place / "speech.wav", hum(1.0))
    write_video(place / "driver.mp4", moving(20, 0.004), place / "speech.wav")
    write_video(place / "blank.mp4", np.full((5, 192, 192, 3), 90, "u1"))
    return place


def test_one_vector_per_frame(debug_pipeline, folder):
    motion = driving_motion(folder / "driver.mp4", debug_pipeline)
    assert motion.shape == (20, debug_pipeline.config.face.motion_dim)
    assert np.ptp(motion[:, POSE_DIM:], axis=0).max() > 1e-4
    assert len(driving_motion(folder / "driver.mp4", debug_pipeline, limit=7)) == 7
    with pytest.raises(UserError, match="no face"):
        driving_motion(folder / "blank.mp4", debug_pipeline)


def test_a_given_pose_is_kept_and_the_rest_is_generated(debug_pipeline):
    pose = np.random.default_rng(0).normal(0, 0.1, (15, POSE_DIM)).astype(np.float32)
    features = debug_pipeline.audio(hum(1.0).astype(np.float32))
    free, kept = (
        debug_pipeline.sample([features], [Controls()], [0], [track])[0] for track in (None, pose)
    )
    np.testing.assert_allclose(kept[:15, :POSE_DIM], pose, atol=1e-4)
    assert np.abs(free[:15, :POSE_DIM] - pose).max() > 0.05


def test_pose_from_a_video(folder, capsys):
    code = cli.main(["generate", "-s", str(PORTRAIT), "-a", str(folder / "speech.wav"), "-o",
                     str(folder / "out.mp4"), "--pose-from", str(folder / "driver.mp4"),
                     "--config", "debug", "-q"])  # fmt: skip
    assert code == 0, capsys.readouterr().err
    frames, _, comment, _ = _read(folder / "out.mp4")
    assert len(frames) == 25
    assert comment["pose_from"] == "driver.mp4"


@pytest.mark.parametrize(("driver", "code"), [("driver", 0), ("blank", 2), ("missing", 2)])
def test_reenact(folder, capsys, driver, code):
    output = folder / f"{driver}_out.mp4"
    assert code == cli.main(["reenact", "-s", str(PORTRAIT), "-d", str(folder / f"{driver}.mp4"),
                             "-o", str(output), "--config", "debug", "--side-by-side",
                             "--quiet"])  # fmt: skip
    assert output.exists() == (code == 0)
    assert capsys.readouterr().err.count("\n") == (code != 0)
    if code == 0:
        frames, audio, comment, _ = _read(output)
        assert frames.shape == (20, 64, 128, 3)
        assert len(audio) > 0.75 * 16_000
        assert comment["driving"] == "driver.mp4"
