"""Every mistake a user can make with `generate` ends in one clear line, exit code 2, no file."""

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.assets import PORTRAIT, hum, write_float_wav, write_wav
from vasa_jax import cli
from vasa_jax.bundle import init_bundle, save_bundle
from vasa_jax.config import get_config
from vasa_jax.config.overrides import apply_overrides


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bad")


@pytest.fixture(scope="module")
def speech(folder):
    return write_wav(folder / "speech.wav", hum(0.5))


def _noise(size):
    return np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)


def _image(folder, name, array):
    Image.fromarray(array).save(folder / name)
    return folder / name


def _bytes(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def fails(capsys, arguments, output):
    """Run the command line; assert one line on stderr, exit code 2, nothing left; the line."""
    before = sorted(os.listdir(output.parent)) if output.parent.is_dir() else None
    code = cli.main(["generate", "--config", "debug", "--quiet", *map(str, arguments)])
    error = capsys.readouterr().err.strip()
    assert code == 2, error
    assert error.startswith("vasa-jax: error: ")
    assert "\n" not in error
    assert "Traceback" not in error
    assert not output.is_file()
    if before is not None:
        assert sorted(os.listdir(output.parent)) == before
    return error


IMAGES = {
    "missing": (lambda f: f / "nowhere.png", "does not exist"),
    "directory": (lambda f: f, "directory"),
    "empty": (lambda f: _bytes(f, "empty.png", b""), "empty"),
    "no image": (lambda f: _bytes(f, "text.png", b"hello " * 50), "image"),
    "truncated": (lambda f: _bytes(f, "cut.jpg", PORTRAIT.read_bytes()[:9000]), "truncated"),
    "too small": (lambda f: _image(f, "small.png", _noise((100, 300))), "128"),
    "no face": (lambda f: _image(f, "noise.png", _noise((256, 256))), "face"),
}


@pytest.mark.parametrize("case", IMAGES)
def test_bad_image(case, folder, speech, capsys):
    make, word = IMAGES[case]
    output = folder / "out" / "a.mp4"
    error = fails(capsys, ["-s", make(folder), "-a", speech, "-o", output], output)
    assert word in error


def _no_audio_stream(folder):
    import av

    path = folder / "mute.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


AUDIO = {
    "missing": (lambda f: f / "nowhere.wav", "does not exist"),
    "directory": (lambda f: f, "directory"),
    "empty file": (lambda f: _bytes(f, "empty.wav", b""), "empty"),
    "no audio": (lambda f: _bytes(f, "text.wav", b"hello " * 50), "decoded"),
    "no stream": (_no_audio_stream, "audio"),
    "no samples": (lambda f: write_wav(f / "none.wav", np.zeros(0)), "sound"),
    "too short": (lambda f: write_wav(f / "short.wav", np.zeros(600)), "40 ms"),
    "not a number": (
        lambda f: write_float_wav(f / "nan.wav", np.full(16_000, np.nan, np.float32)),
        "NaN",
    ),
}


@pytest.mark.parametrize("case", AUDIO)
def test_bad_audio(case, folder, capsys):
    make, word = AUDIO[case]
    output = folder / "out" / "a.mp4"
    error = fails(capsys, ["-s", PORTRAIT, "-a", make(folder), "-o", output], output)
    assert word in error


OPTIONS = {
    "config": (["--config", "demoo"], "did you mean 'demo'"),
    "override": (["--set", "motion.widht=3"], "did you mean 'width'"),
    "checkpoint": (["--checkpoint", "nowhere"], "no such checkpoint"),
    "gaze form": (["--gaze", "left"], "YAW,PITCH"),
    "gaze range": (["--gaze", "90,0"], "out of range"),
    "gaze left of range": (["--gaze", "-90,0"], "out of range"),
    "gaze nan": (["--gaze", "nan,0"], "finite"),
    "distance range": (["--distance", "0.1"], "out of range"),
    "distance form": (["--distance", "far"], "not a number"),
    "emotion name": (["--emotion", "hapiness=1"], "did you mean 'happiness'"),
    "emotion range": (["--emotion", "anger=2"], "out of range"),
    "emotion sum": (["--emotion", "anger=0.7,fear=0.7"], "more than 1"),
    "seed": (["--seed", "-1"], "out of range"),
    "seed form": (["--seed", "lucky"], "invalid int"),
    "face": (["--face", "7"], "face"),
    "steps": (["--steps", "many"], "whole number"),
    "guidance": (["--cfg-audio", "inf"], "finite"),
    "both pictures": (["--paste-back", "--side-by-side"], "exclude"),
    "nothing to paste": (["--paste-back", "--crop", "none"], "crop"),
    "unknown option": (["--colour", "blue"], "unrecognized"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_option(case, folder, speech, capsys):
    options, word = OPTIONS[case]
    output = folder / "out" / "a.mp4"
    error = fails(capsys, ["-s", PORTRAIT, "-a", speech, "-o", output, *options], output)
    assert word in error


@pytest.mark.parametrize("place", ["file/a.mp4", ".", "a.txt", "a"])
def test_bad_output(place, folder, speech, capsys):
    (folder / "file").touch()
    output = folder / place
    fails(capsys, ["-s", PORTRAIT, "-a", speech, "-o", output], output)


def _renamed(folder, path):
    """The same file by its own path, over another folder, by a symbolic and by a hard link."""
    soft, hard, outer = folder / "soft.mp4", folder / "hard.mp4", folder / "outer"
    soft.symlink_to(path)
    os.link(path, hard)
    outer.symlink_to(path.parent, target_is_directory=True)
    return [path, outer / path.name, soft, hard]


@pytest.mark.parametrize("case", ["portrait", "sound", "pose video", "driving video"])
def test_an_output_that_is_an_input(case, tmp_path, speech, capsys):
    """By whatever name; nothing is lost, and the model is never loaded."""
    taken = tmp_path / "in" / "taken.mp4"
    taken.parent.mkdir()
    source = {"portrait": PORTRAIT, "sound": speech}.get(case) or _no_audio_stream(tmp_path)
    taken.write_bytes(source.read_bytes())
    command = {
        "portrait": ["generate", "-s", taken, "-a", speech],
        "sound": ["generate", "-s", PORTRAIT, "-a", taken],
        "pose video": ["generate", "-s", PORTRAIT, "-a", speech, "--pose-from", taken],
        "driving video": ["reenact", "-s", PORTRAIT, "-d", taken],
    }[case]
    for output in _renamed(tmp_path, taken):
        arguments = [*map(str, command), "-o", str(output), "--config", "debug", "--quiet"]
        assert cli.main(arguments) == 2
        assert f"would overwrite the {case}" in capsys.readouterr().err
        assert taken.read_bytes() == source.read_bytes()
        assert output.samefile(taken)


@pytest.fixture(scope="module")
def checkpoint(folder, debug_bundle):
    save_bundle(folder / "checkpoint", debug_bundle)
    return folder / "checkpoint"


def _run(capsys, speech, folder, *options):
    output = folder / "out" / "a.mp4"
    return fails(capsys, ["-s", PORTRAIT, "-a", speech, "-o", output, *options], output)


def test_checkpoint_of_another_config(checkpoint, folder, speech, capsys):
    error = _run(capsys, speech, folder, "--config", "vasa1", "--checkpoint", checkpoint)
    assert "checkpoint of config 'debug'" in error


def test_checkpoint_of_other_shapes(folder, speech, capsys):
    config = get_config("debug")
    small = init_bundle(apply_overrides(config, ["motion.width=16"]))
    save_bundle(folder / "shapes", small._replace(config=config))
    error = _run(capsys, speech, folder, "--checkpoint", folder / "shapes")
    assert "has shape" in error


def test_checkpoint_that_is_cut_or_foreign(checkpoint, folder, speech, capsys):
    for name, keep in (("cut", 1000), ("void", 0)):
        broken = folder / name
        broken.mkdir()
        (broken / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
        data = (checkpoint / "model.safetensors").read_bytes()[:keep]
        (broken / "model.safetensors").write_bytes(data)
        assert "safetensors" in _run(capsys, speech, folder, "--checkpoint", broken)
    (folder / "cut" / "config.json").write_text("{")
    assert "unreadable" in _run(capsys, speech, folder, "--checkpoint", folder / "cut")
    assert "config.json" in _run(capsys, speech, folder, "--checkpoint", folder / "out")


def test_a_stored_config_rules_over_the_named_one(folder):
    from vasa_jax.bundle import load_bundle, resolve_config

    wide = apply_overrides(get_config("debug"), ["motion.width=16"])
    save_bundle(folder / "wide", init_bundle(wide))
    assert load_bundle(folder / "wide", "debug", ["diffusion.steps=2"]).config == (
        dataclasses.replace(wide, diffusion=dataclasses.replace(wide.diffusion, steps=2))
    )
    assert resolve_config(None, folder / "wide") == wide


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(cut=st.integers(0, 40_000), flips=st.lists(st.integers(0, 10**6), max_size=8))
def test_damaged_portraits_and_clips_never_raise_anything_else(folder, speech, cut, flips):
    for path, option in ((PORTRAIT, "-s"), (speech, "-a")):
        data = bytearray(path.read_bytes()[: max(cut, 1)])
        for place in flips:
            data[place % len(data)] ^= 0x55
        damaged = _bytes(folder, f"damaged{path.suffix}", bytes(data))
        files = {"-s": PORTRAIT, "-a": speech, option: damaged}
        request = [text for pair in files.items() for text in map(str, pair)]
        # The missing video is found after the files are read and before a model is built.
        request += ["-o", str(folder / "x.mp4"), "--pose-from", str(folder / "nowhere.mp4")]
        assert cli.main(["generate", "--quiet", "--config", "debug", *request]) == 2
