"""The door for Python, on the debug model: what files, arrays and lists give."""

import subprocess
import sys

import av
import jax
import numpy as np
import pytest

import vasa_jax
from tests.assets import PORTRAIT, hum, write_wav
from vasa_jax.bundle import resolve_bundle
from vasa_jax.errors import UserError
from vasa_jax.inference.generate import generate, load_inputs
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls, Request
from vasa_jax.media.image import read_image

SIZE = 64


@pytest.fixture(scope="module")
def pipe():
    return vasa_jax.Pipeline(resolve_bundle("debug")._replace(trained=True))


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    return write_wav(tmp_path_factory.mktemp("door") / "speech.wav", hum(0.9))


@pytest.fixture(scope="module")
def clip(pipe, speech):
    return pipe(PORTRAIT, speech, seed=4, gaze=(10.0, -5.0), emotion={"happiness": 0.5})


def read(path):
    with av.open(str(path)) as video:
        pictures = np.stack([f.to_ndarray(format="rgb24") for f in video.decode(video=0)])
    with av.open(str(path)) as video:
        return pictures, np.concatenate([f.to_ndarray()[0] for f in video.decode(audio=0)])


def test_a_clip_is_what_generate_makes(pipe, clip, speech, tmp_path):
    assert clip.frames.shape == (23, SIZE, SIZE, 3)
    assert clip.frames.dtype == np.uint8
    assert (len(clip), clip.fps) == (23, 25)
    controls = Controls(gaze=(10.0, -5.0), emotion=(("happiness", 0.5),))
    request = Request(PORTRAIT, speech, tmp_path / "command.mp4", seed=4, controls=controls)
    report = Reporter("quiet")
    generate(request, load_inputs(request, SIZE, report), pipe.programs, report)
    clip.save(tmp_path / "door.mp4")
    for ours, want in zip(read(tmp_path / "door.mp4"), read(tmp_path / "command.mp4"), strict=True):
        np.testing.assert_array_equal(ours, want)
    clip.save(tmp_path / "both.mp4", side_by_side=True)
    assert read(tmp_path / "both.mp4")[0].shape[2] == 2 * SIZE


def test_arrays_do_as_well_as_files(pipe, clip, tmp_path):
    samples = (hum(0.9) * 32767).astype("<i2") / 32768  # what the file holds
    wishes = {"seed": 4, "gaze": (10.0, -5.0), "emotion": {"happiness": 0.5}}
    wishes["gaze"] = (10, -5)  # whole numbers as well
    made = pipe(read_image(PORTRAIT), samples.astype(np.float32), **wishes)
    np.testing.assert_array_equal(made.frames, clip.frames)
    made.save(tmp_path / "array.mp4")
    frames, sound = read(tmp_path / "array.mp4")
    assert len(frames) == 23
    assert np.abs(sound).max() > 0.1
    slow = pipe(read_image(PORTRAIT), (np.repeat(samples, 2), 32_000), **wishes)
    assert len(slow) == 23


def test_lists_make_lists_and_companions_change_nothing(pipe, clip, speech):
    other = write_wav(speech.parent / "other.wav", hum(0.5))
    both = pipe(
        PORTRAIT, [other, speech], seed=[7, 4], gaze=(10.0, -5.0), emotion={"happiness": 0.5}
    )
    assert [len(one) for one in both] == [13, 23]
    np.testing.assert_array_equal(both[1].frames, clip.frames)
    two = pipe(PORTRAIT, other, seed=[7, 8], gaze=(10.0, -5.0), emotion={"happiness": 0.5})
    np.testing.assert_array_equal(two[0].frames, both[0].frames)
    assert (two[1].frames != two[0].frames).any()
    with pytest.raises(UserError, match="2 portraits, 3 speeches"):
        pipe([PORTRAIT] * 2, [speech] * 3)
    with pytest.raises(UserError, match="0 speeches"):
        pipe(PORTRAIT, [])


def test_weights_go_out_and_come_back(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "own")
    again = vasa_jax.Pipeline.from_pretrained(tmp_path / "own", overrides=["diffusion.steps=3"])
    assert again.config.diffusion.steps == 3
    assert set(pipe.params) == {"face", "audio", "motion"}
    for a, b in zip(jax.tree.leaves(pipe.params), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "says"), [("nobody", "nobody"), ("vasa1", "no weights are shipped for config 'vasa1'")]
)
def test_names_without_weights_are_refused(name, says):
    with pytest.raises(UserError, match=says):
        vasa_jax.Pipeline.from_pretrained(name, overrides=["face.image_size=64"])


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"portrait": np.zeros((8, 8), np.uint8)}, r"portrait of shape \(8, 8\), uint8"),
        ({"portrait": np.zeros((200, 200, 3), np.uint8)}, "face"),
        ({"portrait": np.zeros((200, 200, 3))}, "float64: give RGB as uint8"),
        ({"portrait": "nothing.jpg"}, "nothing.jpg"),
        ({"speech": np.zeros(16_000, np.int16)}, "int16: give mono samples as floats"),
        ({"speech": np.zeros((2, 16_000), np.float32)}, r"shape \(2, 16000\)"),
        ({"speech": np.full(16_000, np.nan, np.float32)}, "NaN"),
        ({"speech": np.zeros(10, np.float32)}, "too short"),
        ({"seed": -1}, "seed -1"),
        ({"emotion": {"joy": 1.0}}, "unknown emotion 'joy'"),
        ({"gaze": (90.0, 0.0)}, "gaze yaw 90"),
    ],
)
def test_what_cannot_be_used_is_named(pipe, speech, wishes, says):
    given = {"portrait": PORTRAIT, "speech": speech} | wishes
    with pytest.raises(UserError, match=says):
        pipe(**given)


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, vasa_jax; print(any(m in sys.modules for m in ('jax', 'av', 'numpy')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = vasa_jax.Nothing
