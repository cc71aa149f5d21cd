"""The whole path on the debug model: files in, a playable video out, the same one every time."""

import json

import av
import jax
import numpy as np
import pytest
from PIL import Image

from tests.assets import PORTRAIT, hum, write_wav
from vasa_jax import cli
from vasa_jax.inference.generate import generate, load_inputs
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls, Picture, Request
from vasa_jax.media.writer import frame_count

QUIET = Reporter("quiet")


@pytest.fixture
def pipeline(debug_pipeline):
    return debug_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generate")


@pytest.fixture(scope="module")
def speech(folder):
    return write_wav(folder / "speech.wav", hum(1.3))


def _make(pipeline, folder, speech, name="a.mp4", **wishes):
    request = Request(image=PORTRAIT, audio=speech, output=folder / name, **wishes)
    inputs = load_inputs(request, pipeline.config.face.image_size, QUIET)
    generate(request, inputs, pipeline, QUIET)
    return request.output


def _read(path):
    """Frames (t, h, w, 3), audio samples and comment of a video, by PyAV alone."""
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        rate = float(container.streams.video[0].average_rate)
        comment = container.metadata["comment"]
    with av.open(str(path)) as container:
        audio = [f.to_ndarray()[0] for f in container.decode(audio=0)]
    return np.stack(frames), np.concatenate(audio), json.loads(comment), rate


def test_video_lasts_as_long_as_the_audio_and_tells_of_its_making(pipeline, folder, speech):
    frames, audio, comment, rate = _read(_make(pipeline, folder, speech, seed=5))
    assert frames.shape == (33, 64, 64, 3)  # ceil(1.3 * 25)
    assert rate == 25
    assert len(audio) >= 1.3 * 16_000 - 1
    assert np.abs(audio).max() > 0.1
    assert comment["seed"] == 5
    assert comment["config"] == "debug"
    assert comment["weights"] == "untrained"


@pytest.mark.parametrize("seconds", [0.04, 0.041, 1.0, 1.01, 2.0])
def test_frames_cover_the_audio(seconds):
    count = frame_count(seconds)
    assert seconds <= count / 25 + 1e-9 < seconds + 0.04 + 1e-6


def test_same_seed_same_frames_another_seed_others(pipeline, folder, speech):
    one, two, other = (
        _read(_make(pipeline, folder, speech, f"{n}.mp4", seed=s))[0]
        for n, s in (("one", 1), ("two", 1), ("other", 2))
    )
    np.testing.assert_array_equal(one, two)
    assert np.abs(one.astype(int) - other).max() > 0


def test_silence_is_valid(pipeline, folder):
    silence = write_wav(folder / "silence.wav", np.zeros(8000))
    assert len(_read(_make(pipeline, folder, silence, "silence.mp4"))[0]) == 13


def test_a_clip_of_another_length_compiles_nothing(pipeline, folder, speech):
    _make(pipeline, folder, speech, "warm.mp4")
    longer = write_wav(folder / "longer.wav", hum(5.7))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    try:
        assert len(_read(_make(pipeline, folder, longer, "longer.mp4"))[0]) == 143
        assert compiled == []
        jax.jit(lambda x: x * 2.5)(1.0)
        assert compiled, "the listener must hear a compilation, or this test proves nothing"
    finally:
        jax.monitoring.clear_event_listeners()


def test_conditions_change_the_motion(pipeline):
    features = pipeline.audio(hum(1.0).astype(np.float32))
    wishes = [
        Controls(),
        Controls(gaze=(30.0, 0.0)),
        Controls(distance=1.5),
        Controls(emotion=(("happiness", 1.0),)),
        Controls(gaze=None),
    ]
    motions = [pipeline.generate_motion([None], [features], [wish], [0])[0] for wish in wishes]
    for motion in motions[1:]:
        assert np.abs(motion - motions[0]).max() > 1e-4


def test_side_by_side_shows_the_portrait_on_the_left(pipeline, folder, speech):
    frames = _read(_make(pipeline, folder, speech, "side.mp4", picture=Picture(side_by_side=True)))[
        0
    ]
    assert frames.shape[1:] == (64, 128, 3)
    request = Request(image=PORTRAIT, audio=speech, output=folder / "x.mp4")
    still = load_inputs(request, 64, QUIET).portrait.crop.image
    assert np.abs(frames[0][:, :64].astype(float) - still).mean() < 8  # H.264 is lossy


def test_paste_back_keeps_the_photo_outside_of_the_face(pipeline, folder, speech):
    frames = _read(_make(pipeline, folder, speech, "back.mp4", picture=Picture(paste_back=True)))[0]
    photo = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    height, width = photo.shape[0] // 2 * 2, photo.shape[1] // 2 * 2
    assert frames.shape[1:] == (height, width, 3)
    corner = frames[0][-100:, :100].astype(float) - photo[:height, :width][-100:, :100]
    assert np.abs(corner).mean() < 8
    assert np.abs(frames[0].astype(float) - photo[:height, :width]).max() > 30


def test_without_crop_any_picture_will_do(pipeline, folder, speech):
    Image.new("RGB", (200, 150), "teal").save(folder / "teal.png")
    request = Request(
        folder / "teal.png", speech, folder / "teal.mp4", picture=Picture(crop="none")
    )
    inputs = load_inputs(request, 64, QUIET)
    assert generate(request, inputs, pipeline, QUIET) == 33


def test_an_interrupted_run_leaves_nothing(pipeline, folder, speech, monkeypatch):
    place = folder / "broken"
    place.mkdir()

    def stop(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(pipeline, "decode_blocks", stop)
    with pytest.raises(KeyboardInterrupt):
        _make(pipeline, place, speech)
    assert list(place.iterdir()) == []


def test_log_json_is_one_object_a_line(folder, speech, capsys):
    code = cli.main(
        [
            "generate",
            "-s",
            str(PORTRAIT),
            "-a",
            str(speech),
            "-o",
            str(folder / "log.mp4"),
            "--config",
            "debug",
            "--log-json",
        ]
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert "no trained weights" in next(x["text"] for x in lines if x["event"] == "note")
    stages = set(lines[-1]["seconds"])
    assert {"load", "compile", "encode", "audio", "sample", "decode", "write"} <= stages
    assert lines[-1]["frames"] == 33


def test_quiet_is_quiet(folder, speech, capsys):
    cli.main(
        [
            "generate",
            "-s",
            str(PORTRAIT),
            "-a",
            str(speech),
            "-o",
            str(folder / "q.mp4"),
            "--config",
            "debug",
            "--quiet",
        ]
    )
    assert capsys.readouterr() == ("", "")


def test_gaze_may_begin_with_a_minus(folder, speech, capsys):
    code = cli.main(
        [
            "generate",
            "-s",
            str(PORTRAIT),
            "-a",
            str(speech),
            "-o",
            str(folder / "left.mp4"),
            "--gaze",
            "-10,5",
            "--config",
            "debug",
            "-q",
        ]
    )
    assert code == 0, capsys.readouterr().err
    assert _read(folder / "left.mp4")[2]["controls"]["gaze"] == [-10.0, 5.0]
