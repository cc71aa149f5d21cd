"""A video drives a portrait: its pose is kept exactly, its motion moves the face."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.assets import PORTRAIT, hum, write_wav
from tests.inference.helpers import moving, write_video
from tests.inference.test_generate import _read
from vasa_jax import cli
from vasa_jax.errors import UserError
from vasa_jax.inference.driving import driving_motion, relative_motion
from vasa_jax.inference.request import Controls
from vasa_jax.typing import POSE_DIM, Pose


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


def test_relative_motion_is_the_drivers_from_the_portraits_pose_on():
    rng = np.random.default_rng(1)
    motion = rng.normal(0, 0.3, (6, POSE_DIM + 4)).astype(np.float32)
    start = Pose(*(rng.normal(0, 0.3, (1, n)).astype(np.float32) for n in (3, 3, 1)))
    moved = relative_motion(motion, start)
    np.testing.assert_allclose(moved[0, :POSE_DIM], np.concatenate(start, -1)[0], atol=1e-6)
    np.testing.assert_array_equal(moved[:, POSE_DIM:], motion[:, POSE_DIM:])

    def turn(row):
        return Rotation.from_euler("xyz", row[:3])

    for row, old in zip(moved, motion, strict=True):
        wanted = turn(old) * turn(motion[0]).inv() * turn(start.rotation[0])
        np.testing.assert_allclose(turn(row).as_matrix(), wanted.as_matrix(), atol=1e-6)
        # In sizes of the head both move alike, and both grow by the same factor.
        ours = (row[3:6] - moved[0, 3:6]) / np.exp(moved[0, 6])
        np.testing.assert_allclose(
            ours, (old[3:6] - motion[0, 3:6]) / np.exp(motion[0, 6]), atol=1e-6
        )
        assert row[6] - moved[0, 6] == pytest.approx(old[6] - motion[0, 6], abs=1e-6)


def test_a_biased_reading_of_the_driver_cancels():
    """One that takes every head for raised, nearer and larger than it is."""
    rng = np.random.default_rng(2)
    motion = np.zeros((5, POSE_DIM), np.float32)
    motion[:, 0] = rng.normal(0, 0.2, 5)
    motion[:, 6] = rng.normal(0, 0.1, 5)
    start = Pose(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros((1, 1)))
    wrong = motion + np.array([0.1, 0, 0, 0, 0, 0, 0.05], np.float32)
    np.testing.assert_allclose(
        relative_motion(wrong, start), relative_motion(motion, start), atol=1e-6
    )


def test_a_given_pose_is_kept_and_the_rest_is_generated(debug_pipeline):
    pose = np.random.default_rng(0).normal(0, 0.1, (15, POSE_DIM)).astype(np.float32)
    features = debug_pipeline.audio(hum(1.0).astype(np.float32))
    free, kept = (
        debug_pipeline.generate_motion([None], [features], [Controls()], [0], [track])[0]
        for track in (None, pose)
    )
    np.testing.assert_allclose(kept[:15, :POSE_DIM], pose, atol=1e-4)
    assert np.abs(free[:15, :POSE_DIM] - pose).max() > 0.05


def test_pose_from_a_video(folder, capsys):
    code = cli.main(
        [
            "generate",
            "-s",
            str(PORTRAIT),
            "-a",
            str(folder / "speech.wav"),
            "-o",
            str(folder / "out.mp4"),
            "--pose-from",
            str(folder / "driver.mp4"),
            "--config",
            "debug",
            "-q",
        ]
    )
    assert code == 0, capsys.readouterr().err
    frames, _, comment, _ = _read(folder / "out.mp4")
    assert len(frames) == 25
    assert comment["pose_from"] == "driver.mp4"


@pytest.mark.parametrize(
    ("driver", "code", "words"),
    [("driver", 0, []), ("driver", 0, ["--relative"]), ("blank", 2, []), ("missing", 2, [])],
)
def test_reenact(folder, capsys, driver, code, words):
    output = folder / f"{driver}_out.mp4"
    assert code == cli.main(
        [
            "reenact",
            "-s",
            str(PORTRAIT),
            "-d",
            str(folder / f"{driver}.mp4"),
            "-o",
            str(output),
            "--config",
            "debug",
            "--side-by-side",
            "--quiet",
            *words,
        ]
    )
    assert output.exists() == (code == 0)
    assert capsys.readouterr().err.count("\n") == (code != 0)
    if code == 0:
        frames, audio, comment, _ = _read(output)
        assert frames.shape == (20, 64, 128, 3)
        assert len(audio) > 0.75 * 16_000
        assert comment["driving"] == "driver.mp4"
        assert comment["relative"] == bool(words)


def test_a_sound_track_that_holds_nothing_leaves_the_video_silent(folder, capsys):
    """Found at load: a note, and a silent video instead of an error at its end."""
    import av

    mute, output = folder / "mute.mkv", folder / "silent.mp4"
    with av.open(str(folder / "driver.mp4")) as source, av.open(str(mute), "w") as out:
        copied = out.add_stream_from_template(source.streams.video[0])
        out.add_stream("aac", rate=16_000, layout="mono")
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copied
                out.mux(packet)
    code = cli.main(
        ["reenact", "-s", str(PORTRAIT), "-d", str(mute), "-o", str(output), "--config", "debug"]
    )
    assert code == 0
    said = capsys.readouterr()
    assert "silent" in said.err + said.out
    with av.open(str(output)) as found:
        assert not found.streams.audio
        assert len(list(found.decode(video=0))) == 20
