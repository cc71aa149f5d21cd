"""The smallest config on recorded clips, by the commands that docs/training.md prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import vasa_jax
from tests import needs
from tests.assets import PORTRAIT, SPEECH, write_wav
from tests.commands_of_docs import blocks
from tests.data_pipeline.prepare.helpers import write_video
from vasa_jax.bundle import load_bundle
from vasa_jax.cli import build_parser
from vasa_jax.media.audio import open_audio
from vasa_jax.media.video import probe

PAGE = "training.md"
RUNNER = """
import json, sys
import jax
for name, value in json.loads(sys.argv[1]).items():
    jax.config.update(name, value)
from vasa_jax import cli, compile_cache
compile_cache.enable_compile_cache = lambda: None
for words in json.loads(sys.argv[2]):
    print("+ vasa-jax", *words, file=sys.stderr, flush=True)
    code = cli.main(words)
    if code:
        sys.exit(code)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two clips of two seconds, a portrait and a recording, named as the page names them."""
    needs.require_weights("face-landmarker", "brisque", "face-expression", "selfie-segmentation")
    folder = tmp_path_factory.mktemp("first")
    picture = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    sound = open_audio(SPEECH).waveform
    for name, shown in (("ann", picture), ("bob", picture[:, ::-1])):
        write_video(folder / f"videos/{name}/a.mp4", _moving(shown), wave=sound[16_000:48_000])
    write_wav(folder / "speech.wav", sound[:24_000])
    (folder / "portrait.jpg").write_bytes(PORTRAIT.read_bytes())
    return folder


def _moving(picture, count=50):
    """A head that nods and sways: the picture under small similarities."""
    height, width = picture.shape[:2]
    frames = []
    for k in range(count):
        turn = cv2.getRotationMatrix2D((width / 2, height / 3), 3 * np.sin(k / 6), 1.0)
        turn[:, 2] += 6 * np.sin(k / 5), 4 * np.cos(k / 7)
        frames.append(cv2.warpAffine(picture, turn, (width, height), borderMode=1))
    return np.stack(frames)


def _commands(config):
    """Those of the page's block for a config: the one that makes weights with it."""
    (found,) = [block for block in blocks(PAGE) if ["--config", config] == block[1][2:4]]
    return found


def test_the_smallest_config_goes_the_way_of_the_papers():
    """The blocks differ in names and sizes alone, and one command's output is the next one's
    input, so that what the other test shows holds for `vasa1` as well."""
    names = {"vasa1": "debug", "512": "128", "voxceleb2/": "videos/"}
    small = _commands("debug")
    assert [[names.get(word, word) for word in words] for words in _commands("vasa1")] == small
    parser, known = build_parser(), {"videos", "portrait.jpg", "speech.wav"}
    for words in small:
        given = vars(parser.parse_args(words))
        made = {str(given[name]) for name in ("output", "workdir") if given.get(name) is not None}
        paths = [value for value in given.values() if isinstance(value, Path)]
        paths += given.get("workdirs") or []
        assert {str(path) for path in paths} - made <= known, words
        known |= made


@pytest.mark.slow
def test_the_page_leads_from_videos_to_a_video(folder):
    """On one device and with the page's own words, so that a newcomer's run is what is tested."""
    commands = _commands("debug")
    root = Path(vasa_jax.__file__).parent.parent
    settings = {
        "jax_platforms": "cpu",
        "jax_disable_most_optimizations": True,
        "jax_compilation_cache_dir": str(folder / "xla"),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps(settings), json.dumps(commands)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for step in (
        "pose: step 20",
        "face: step 20",
        "motion: step 20",
        "2 made, 0 already there, 0 failed",
    ):
        assert step in done.stderr, done.stderr[-3000:]
    bundle = load_bundle(folder / "weights")
    assert bundle.trained
    assert "contempt" in bundle.seen.lacking()
    info = probe(folder / "out.mp4")
    assert (info.width, info.height, info.frames, info.has_audio) == (64, 64, 38, True)
