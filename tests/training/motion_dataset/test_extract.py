"""A folder of videos to motion clips: the frames' own vectors, restartable, on many devices."""

import json

import jax
import numpy as np
import pytest

from tests.assets import hum, write_wav
from tests.inference.helpers import SIZE, moving, write_video
from vasa_jax import cli
from vasa_jax.audio.chunks import encode_clip
from vasa_jax.audio.frozen import FrozenEncoder
from vasa_jax.bundle import build_networks
from vasa_jax.errors import UserError
from vasa_jax.inference.driver import Driver
from vasa_jax.inference.driving import driving_motion
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.inference.portrait import choose_face, cut_square, face_square
from vasa_jax.inference.progress import Reporter
from vasa_jax.media.audio import open_audio
from vasa_jax.media.folders import find_videos
from vasa_jax.media.video import read_video
from vasa_jax.perception.face_detector import detect_faces
from vasa_jax.training.motion_clips import MotionClips
from vasa_jax.training.motion_dataset.extract import extract_clip, extract_folder, split_of

QUIET = Reporter("quiet")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two good clips of two speakers; one without a face, one without sound, one broken."""
    folder = tmp_path_factory.mktemp("videos")
    tone = write_wav(tmp_path_factory.mktemp("sound") / "a.wav", hum(0.8))
    write_video(folder / "id1" / "x" / "1.mp4", moving(20, 0.004), tone)
    write_video(folder / "id2" / "y" / "1.mp4", moving(24, -0.004), tone)  # longer than its sound
    write_video(folder / "id2" / "y" / "noface.mp4", np.full((5, SIZE, SIZE, 3), 90, "u1"), tone)
    write_video(folder / "id2" / "y" / "silent.mp4", moving(3, 0.0))
    (folder / "broken.mp4").write_bytes(b"this is no video")
    (folder / "notes.txt").write_text("nor is this")
    return folder


@pytest.fixture(scope="module")
def encoder(debug_bundle):
    params = jax.tree.map(np.asarray, debug_bundle.params["face"])
    # The pose head starts at zero; a test must see it move.
    head = params["pose"]["head"]
    draw = np.random.default_rng(0).normal(size=head["kernel"].shape)
    head["kernel"] = draw.astype(np.float32)
    return MotionEncoder(debug_bundle.config, params, 5, jax.devices()[:1]), params


@pytest.fixture(scope="module")
def made(videos, encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("motion")
    return output, extract_folder(videos, output, encoder[0], QUIET)


def load(path):
    with np.load(path) as stored:
        return dict(stored)


def test_the_vectors_are_those_of_the_frames(videos, made, encoder, debug_bundle):
    face = build_networks(debug_bundle.config).face  # unfolded, in no batches, not compiled alike
    encode = jax.jit(lambda p, x: face.apply({"params": p}, x, method="encode_motion"))
    for name, count in (("id1/x/1.mp4", 20), ("id2/y/1.mp4", 20)):
        frames = list(read_video(videos / name))[:count]
        square = face_square(choose_face(detect_faces(frames[0]))[0].landmarks)
        crops = [cut_square(frame, *square, 64).image for frame in frames]
        images = np.stack(crops) / np.float32(255)
        motion = encode(encoder[1], images)
        expected = np.concatenate([*motion.pose, motion.dyn], axis=-1)
        found = load(made[0] / "train" / f"{name}.npz")
        np.testing.assert_allclose(found["motion"], expected, atol=2e-5)
        assert np.ptp(found["motion"], axis=0).max() > 1e-2  # the face moves, and is seen moving
        assert np.ptp(found["motion"][:, :3], axis=0).max() > 1e-3


def test_the_sound_is_the_clips(videos, made):
    found = load(made[0] / "train" / "id1/x/1.mp4.npz")["waveform"]
    assert found.dtype == np.int16
    assert len(found) == 20 * 640
    expected = open_audio(videos / "id1/x/1.mp4").waveform[: len(found)]
    np.testing.assert_allclose(found / 32767, expected, atol=1 / 32767)


def test_bad_clips_are_reported_and_the_rest_go_on(made):
    output, summary = made
    assert (summary.made, summary.skipped, summary.failed) == (2, 0, 3)
    assert "no face found" in summary.reasons["id2/y/noface.mp4"]
    assert "no audio track" in summary.reasons["id2/y/silent.mp4"]
    assert "broken.mp4" in summary.reasons
    report = json.loads((output / "report.json").read_text())
    assert report["reasons"] == summary.reasons
    assert report["minutes"] == pytest.approx(40 / 25 / 60, abs=1e-3)
    assert len(list(output.rglob("*.npz"))) == 2
    assert not list(output.rglob(".*"))


def test_training_reads_them(made, debug_bundle):
    data = MotionClips(made[0], debug_bundle.config, 4)
    batch = next(data)
    clips = [load(f)["motion"] for f in made[0].rglob("*.npz")]
    for motion, valid in zip(batch.motion, batch.valid, strict=True):
        assert any((motion[valid] == clip[: valid.sum()]).all() for clip in clips)
    assert np.isfinite(data.stats.std).all()


def test_a_rerun_skips_what_is_done(videos, made, encoder, monkeypatch, tmp_path):
    output = tmp_path / "motion"
    extract_folder(videos, output, encoder[0], QUIET)
    files = {f: f.stat().st_mtime_ns for f in output.rglob("*.npz")}
    again = extract_folder(videos, output, encoder[0], QUIET)
    assert (again.made, again.skipped, again.failed) == (0, 2, 3)
    assert again.minutes == made[1].minutes
    assert {f: f.stat().st_mtime_ns for f in output.rglob("*.npz")} == files
    # Another model, or another source, is not what was done.
    monkeypatch.setattr(encoder[0], "identity", "other")
    older, mine = (output / "train" / f"{name}.mp4.npz" for name in ("broken", "id2/y/silent"))
    older.write_bytes(next(iter(files)).read_bytes())  # of a source that was whole then
    mine.write_bytes(b"a file of somebody else")
    other = extract_folder(videos, output, encoder[0], QUIET)
    assert (other.made, other.skipped) == (2, 0)
    assert not older.exists()
    assert mine.read_bytes() == b"a file of somebody else"
    assert "is no clip" in other.reasons["id2/y/silent.mp4"]


def test_a_changed_split_moves_clips(videos, made, encoder, tmp_path):
    output = tmp_path / "motion"
    extract_folder(videos, output, encoder[0], QUIET)
    again = extract_folder(videos, output, encoder[0], QUIET, val_share=0.99)
    assert (again.made, again.skipped) == (0, 2)
    splits = split_of([f.relative_to(videos).as_posix() for f in find_videos(videos).files], 0.99)
    assert set(splits.values()) == {"train", "val"}
    for name in ("id1/x/1.mp4", "id2/y/1.mp4"):
        assert (output / splits[name] / f"{name}.npz").is_file()
    assert len(list(output.rglob("*.npz"))) == 2


def test_a_speaker_stays_in_one_split_and_the_share_is_kept():
    names = [f"id{i}/v/{j}.mp4" for i in range(400) for j in range(2)]
    splits = split_of(names, 0.1)
    for i in range(400):
        assert splits[f"id{i}/v/0.mp4"] == splits[f"id{i}/v/1.mp4"]
    assert 20 <= sum(v == "val" for v in splits.values()) / 2 <= 60
    more = split_of([*names, "new/v/0.mp4"], 0.1)
    assert {k: more[k] for k in names} == splits
    assert split_of(["a.mp4"], 0.999) == {"a.mp4": "train"}


def test_eight_devices_give_what_one_gives(videos, made, encoder, debug_bundle):
    many = MotionEncoder(debug_bundle.config, encoder[1], 1)
    assert many.batch == len(jax.local_devices()) == 8
    assert many.identity == encoder[0].identity
    video = videos / "id1/x/1.mp4"
    (part,) = extract_clip(video, video, many)
    found = part.arrays["motion"]
    expected = load(made[0] / "train" / "id1/x/1.mp4.npz")["motion"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_driving_sees_the_same(videos, debug_pipeline, debug_bundle):
    video = videos / "id1/x/1.mp4"
    encoder = MotionEncoder(debug_bundle.config, debug_bundle.params["face"])
    found = encoder(Driver(video, 64, encoder.batch, 7))
    np.testing.assert_allclose(found, driving_motion(video, debug_pipeline, 7), atol=1e-5)
    assert encoder([]).shape == (0, debug_bundle.config.face.motion_dim)


def test_other_parameters_are_another_model(debug_bundle, encoder):
    changed = jax.tree.map(np.array, encoder[1])
    jax.tree.leaves(changed)[-1].ravel()[-1] += 1e-3
    found = MotionEncoder(debug_bundle.config, changed, 5, jax.devices()[:1])
    assert found.identity != encoder[0].identity


def test_features_and_sound_from_elsewhere(videos, encoder, debug_bundle, tmp_path):
    folder, sounds = tmp_path / "videos", tmp_path / "sounds"
    write_video(folder / "a" / "1.mp4", moving(10, 0.0))
    (sounds / "a").mkdir(parents=True)
    write_wav(sounds / "a" / "1.wav", hum(1.0))
    network = build_networks(debug_bundle.config).audio
    variables = {"params": debug_bundle.params["audio"]}

    def features(wave):
        return encode_clip(network, variables, wave, debug_bundle.config.audio)

    sound = FrozenEncoder("mel", features)
    extract_folder(folder, tmp_path / "out", encoder[0], QUIET, audio=sounds, sound=sound)
    found = load(tmp_path / "out" / "train" / "a" / "1.mp4.npz")
    expected = features(open_audio(sounds / "a" / "1.wav").waveform[: 10 * 640])
    np.testing.assert_allclose(found["audio"], expected, atol=1e-6)


def test_command(videos, encoder, tmp_path, capsys):
    words = ["extract-motion", str(videos), "-o", str(tmp_path / "out"), "--config", "debug"]
    assert cli.main([*words, "--log-json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["outcome"] for e in events if e["event"] == "row"].count("made") == 2
    assert events[-1]["made"] == 2
    bad = tmp_path / "bad"
    bad.mkdir()
    assert cli.main(["extract-motion", str(bad), "-o", str(tmp_path / "o"), "-q"]) == 2
    assert "holds no videos" in capsys.readouterr().err
    (bad / "a.mp4").write_bytes(b"nothing")
    words = ["extract-motion", str(bad), "-o", str(tmp_path / "o"), "--config", "debug", "-q"]
    assert cli.main(words) == 2
    assert json.loads((tmp_path / "o" / "report.json").read_text())["failed"] == 1
    with pytest.raises(UserError, match="--val-share"):
        extract_folder(videos, tmp_path / "o", encoder[0], QUIET, val_share=1.5)
