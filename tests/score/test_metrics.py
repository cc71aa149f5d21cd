"""Every metric on perfect input, noise, silence, a still mouth, one frame, no face."""

import numpy as np
import pytest

from tests.score.helpers import TOOLS, make_track
from vasa_jax.media.video import VideoWriter
from vasa_jax.score.metrics import METRICS
from vasa_jax.score.metrics.head import head_motion
from vasa_jax.score.metrics.sync import longest_run
from vasa_jax.score.types import Metric, Spec, Tools, score_track
from vasa_jax.sync.distances import NOT_MEASURED, SyncScore

KEYS = {key for metric in METRICS for key in metric.specs}
PAIRED = {key for metric in METRICS if metric.paired for key in metric.specs}
NETWORKS = {
    key
    for metric in METRICS
    if metric.name in ("SyncNet", "av_sync", "CAPP", "CAPP, synthetic")
    for key in metric.specs
}


def score(track, real=None, tools=TOOLS):
    found = score_track(METRICS, track, real, tools)
    assert found.values.keys() | found.reasons.keys() == KEYS
    assert not found.values.keys() & found.reasons.keys()
    assert all(np.isfinite(value) for value in found.values.values())
    assert all(found.reasons.values())
    return found


def test_keys_are_unique():
    assert len(KEYS) == sum(len(metric.specs) for metric in METRICS)


def test_perfect_input():
    track = make_track()
    values = score(track, track).values
    assert values.keys() == KEYS - NETWORKS - {"silent_lip_stability"}  # speech throughout
    for key in ("pose_error", "gaze_error", "mouth_offset", "lpips"):
        assert values[key] == 0
    assert values["psnr"] == 100
    for key in ("ssim", "mouth_correlation", "same_person"):
        assert values[key] == pytest.approx(1)
    for key in ("soft_dtw_mouth", "soft_dtw_pose"):
        assert values[key] == 0
    assert values["mouth_loudness"] > 0.8


def test_without_a_real_video_only_pairs_are_missing():
    found = score(make_track())
    assert found.values.keys() == KEYS - NETWORKS - PAIRED - {"silent_lip_stability"}
    assert found.reasons["psnr"] == "there is no real video to compare with"


def test_known_faults_show():
    real = make_track()
    late = make_track(mouth=6 + 5 * np.sin((np.arange(75) - 3) / 3), waveform=real.waveform)
    still = make_track(rotation=np.zeros((75, 3)), mouth=np.full(75, 2.0))
    assert score(late, real).values["mouth_offset"] == 3
    assert score(late, real).values["mouth_loudness"] < score(real).values["mouth_loudness"]
    values = score(still, real).values
    assert values["delta_pose_geodesic"] == 0
    assert values["mouth_amplitude"] < 0.01 * score(real).values["mouth_amplitude"] + 0.005
    assert values["lip_dynamics"] < score(real).values["lip_dynamics"]
    assert values["mouth_openings"] == 0
    assert values["soft_dtw_pose"] > 0
    assert values["pose_error"] > 1


def test_blinks_a_minute():
    assert score(make_track(150)).values["blinks"] == pytest.approx(30)  # one in two seconds


def test_silence_noise_and_no_sound():
    noise = np.random.default_rng(0).normal(scale=0.1, size=75 * 640)
    assert score(make_track(waveform=noise)).values.keys() >= {"mouth_loudness"}
    silence = Tools({**TOOLS._makers, "vad": lambda: lambda waveform: []})
    found = score(make_track(waveform=np.zeros(75 * 640)), tools=silence)
    assert "mouth_loudness" in found.reasons
    assert "theval_lip_sync" in found.reasons
    assert "silent_lip_stability" in found.values
    assert found.reasons["capp_synthetic"] == "the sound is silence"
    mute = score(make_track(waveform=None))
    for key in ("mouth_loudness", "theval_lip_sync", "av_sync_offset", "capp_synthetic"):
        assert mute.reasons[key] == "the video has no sound"


def test_one_frame():
    one = make_track(1)
    found = score(one, one)
    assert found.values.keys() == {
        *("gaze_error", "pose_error", "psnr", "ssim", "lpips", "identity_distance", "same_person")
    }


def test_no_face():
    nobody = make_track(30, found=np.zeros(30, bool))
    found = score(nobody, make_track(30))
    assert found.values.keys() == {"psnr", "ssim", "lpips"}
    assert found.reasons["blinks"] == "no face is found"
    assert found.reasons["pose_error"] == "no face is found"
    assert score(make_track(30), nobody).reasons["pose_error"] == "no face is found"


def test_a_face_in_few_frames():
    seen = np.zeros(60, bool)
    seen[10:14] = True
    found = score(make_track(60, found=seen), make_track(60))
    assert found.reasons["mouth_amplitude"] == "fewer than 5 frames with a face"
    assert "delta_pose_l1" in found.values


def test_frames_that_do_not_pair():
    reasons = score(make_track(70), make_track(75)).reasons
    assert reasons["psnr"] == "70 frames against 75 real ones: they do not pair"
    assert "psnr" in score(make_track(74), make_track(75)).values
    wide = make_track(75)._replace(size=(400, 240))
    assert "320x240 px against 400x240" in score(make_track(75), wide).reasons["ssim"]


def test_head_motion_of_theval():
    rng = np.random.default_rng(1)
    rotation, centres = rng.normal(scale=0.1, size=(40, 3)), rng.normal(size=(40, 2))
    pitch, yaw, roll = np.degrees(rotation).T
    spread = (np.std(pitch) + np.std(yaw) + np.std(roll)) / 3
    change = (np.var(np.diff(pitch)) + np.var(np.diff(yaw)) + np.var(np.diff(roll))) / 3
    moved = (np.var(centres[:, 0]) + np.var(centres[:, 1])) / 2
    assert head_motion(rotation, centres) == pytest.approx(np.sqrt(spread * change + moved))


def test_longest_run():
    assert longest_run(np.array([1, 0, 1, 1, 0, 1], bool)) == slice(2, 4)


def test_networks_of_sound_see_the_whole_track():
    seen = np.ones(80, bool)
    seen[:10] = False
    given = {}

    def network(landmarks, waveform):
        given.update(landmarks=landmarks, waveform=waveform)
        return SyncScore(3.0, 7.0, -1)

    def capp(rotation, waveform):
        given.update(rotation=rotation, heard=waveform)
        return 0.4

    more = {"av_sync": lambda: network, "capp": lambda: capp}
    more["codec"] = lambda: lambda waveform: 2 * waveform
    track = make_track(80, found=seen)
    values = score(track, tools=Tools(TOOLS._makers | more)).values
    assert (values["av_sync_confidence"], values["av_sync_offset"]) == (3.0, -1)
    assert values["capp"] == pytest.approx(0.4)
    np.testing.assert_array_equal(given["landmarks"], track.landmarks)
    np.testing.assert_array_equal(given["waveform"], 2 * track.waveform)
    np.testing.assert_array_equal(given["heard"], track.waveform)
    assert given["rotation"].shape == (80, 3)
    nothing = Tools(TOOLS._makers | {"av_sync": lambda: lambda *_: NOT_MEASURED})
    assert "too short" in score(track, tools=nothing).reasons["av_sync_offset"]


def test_syncnet_sees_crops_of_the_copy_and_sound_after_the_codec(tmp_path):
    seen = np.ones(60, bool)
    seen[:20] = False
    levels = np.arange(60, dtype=np.uint8)[:, None, None, None] * 4
    frames = np.broadcast_to(levels, (60, 240, 320, 3))
    path = tmp_path / "copy.mp4"
    with VideoWriter(path, 320, 240, crf=1) as video:
        video.write(frames)
    given = {}

    def network(crops, samples):
        given.update(crops=crops, samples=samples)
        return SyncScore(3.0, 7.0, 2)

    more = {"syncnet": lambda: network, "codec": lambda: lambda waveform: waveform / 2}
    tools = Tools(TOOLS._makers | more)
    track = make_track(60, found=seen)
    assert score(track, tools=tools).reasons["syncnet_offset"] == "its frames were not kept"
    values = score(track._replace(copy=path), tools=tools).values
    assert (values["syncnet_distance"], values["syncnet_offset"]) == (7, 2)
    assert given["crops"].shape == (40, 224, 224, 3)
    shown = given["crops"][6:-6, 100, 112, 0].astype(int)  # medfilt shrinks the ends' boxes
    np.testing.assert_allclose(shown, np.arange(26, 54) * 4, atol=2)
    assert given["samples"].dtype == np.int16
    expected = track.waveform[20 * 640 :] / 2 * 32767
    np.testing.assert_allclose(given["samples"], expected, atol=1)
    seen[::20] = False
    short = score(make_track(60, found=seen)._replace(copy=path), tools=tools)
    assert "25 consecutive frames" in short.reasons["syncnet_offset"]


def test_an_instrument_that_cannot_be_had_is_asked_for_once():
    from vasa_jax.errors import UserError

    calls = []

    def maker():
        calls.append(1)
        raise UserError("no network here")

    metric = Metric("x", {"x": Spec("x", "", "", "")}, lambda t, r, tools: {"x": tools("net")(t)})
    tools = Tools({"net": maker})
    for _ in range(2):
        found = score_track((metric,), make_track(5), None, tools)
        assert found.reasons == {"x": "no network here"}
    assert len(calls) == 1
