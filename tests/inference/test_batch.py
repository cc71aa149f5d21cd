"""A table of clips: bad rows are reported, good ones made, finished ones skipped, one program."""

import json

import numpy as np
import pytest

from tests.assets import PORTRAIT, hum, write_wav
from tests.inference.test_generate import QUIET, _read
from vasa_jax import cli
from vasa_jax.bundle import init_bundle
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.inference.batch import run_batch
from vasa_jax.inference.manifest import read_manifest
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.request import Controls


@pytest.fixture(scope="module")
def pipeline(debug_bundle):
    return Pipeline(debug_bundle, batch=2)


@pytest.fixture
def folder(tmp_path):
    write_wav(tmp_path / "short.wav", hum(0.5))
    write_wav(tmp_path / "long.wav", hum(3.1))
    return tmp_path


def _manifest(folder, *lines):
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_bad_rows_are_reported_and_the_rest_go_on(pipeline, folder):
    manifest = _manifest(
        folder,
        "image,audio,name,seed,gaze,emotion",
        f"{PORTRAIT},short.wav,first,1,,",
        f"{PORTRAIT},nowhere.wav,,,,",
        f"{PORTRAIT},long.wav,second,2,10;5,",
        f'{PORTRAIT},long.wav,third,3,"10,5",happiness=0.5',
        "nobody.png,long.wav,fourth,,,",
        f"{PORTRAIT},long.wav,first,,,",
    )  # fmt: skip
    out = folder / "out"
    assert run_batch(manifest, out, pipeline, QUIET) == (2, 0, 4)
    assert sorted(p.name for p in out.iterdir()) == [
        "first.json", "first.mp4", "third.json", "third.mp4"
    ]  # fmt: skip
    assert [len(_read(out / f"{n}.mp4")[0]) for n in ("first", "third")] == [13, 78]
    record = json.loads((out / "third.json").read_text())
    assert record["seed"] == 3
    assert record["controls"]["emotion"] == [["happiness", 0.5]]


def test_a_rerun_skips_what_is_finished_and_redoes_what_changed(pipeline, folder):
    rows = [f"{PORTRAIT},short.wav,a,1", f"{PORTRAIT},long.wav,b,2"]
    out = folder / "out"
    assert run_batch(_manifest(folder, "image,audio,name,seed", *rows), out, pipeline, QUIET) == (
        2, 0, 0)  # fmt: skip
    made = (out / "a.mp4").stat().st_mtime_ns
    rows[1] = rows[1][:-1] + "7"
    again = run_batch(_manifest(folder, "image,audio,name,seed", *rows), out, pipeline, QUIET)
    assert again == (1, 1, 0)
    assert (out / "a.mp4").stat().st_mtime_ns == made
    other = Pipeline(init_bundle(get_config("debug"), seed=1), batch=2)
    assert run_batch(_manifest(folder, "image,audio,name,seed", *rows), out, other, QUIET).made == 2


def test_a_clip_is_the_same_alone_and_in_company(pipeline, debug_pipeline):
    """To the frames before encoding: an untrained picture is noise, which H.264 does not keep."""
    clips = [pipeline.audio(hum(s).astype(np.float32)) for s in (0.5, 3.1)]
    together = pipeline.sample(clips, [Controls()] * 2, [1, 2])
    source = pipeline.encode(np.full((64, 64, 3), 90, np.uint8))
    for clip, motion, seed in zip(clips, together, (1, 2), strict=True):
        alone = debug_pipeline.sample([clip], [Controls()], [seed])[0]
        np.testing.assert_allclose(motion, alone, atol=2e-4)
        pairs = zip(*(pipeline.decode(source, m) for m in (motion, alone)), strict=True)
        assert max(np.abs(a.astype(int) - b).max() for a, b in pairs) <= 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["picture,audio", "a,b"], "'image' is missing"),
        (["image,audio,emotoin", "a,b,c"], "did you mean 'emotion'"),
        (["image,audio"], "no rows"),
        ([""], "'image' is missing"),
    ],
)
def test_a_useless_manifest_is_one_line(folder, lines, words):
    with pytest.raises(UserError, match=words):
        read_manifest(_manifest(folder, *lines), folder)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",a.wav,,", "'image' is empty"),
        ("a.png,a.wav,../up,", "plain file name"),
        ("a.png,a.wav,,one", "not a whole number"),
    ],
)
def test_a_bad_row_says_why(folder, row, words):
    manifest = _manifest(folder, "image,audio,name,seed", row)
    assert words in read_manifest(manifest, folder)[0].error


def test_the_command_answers_2_when_a_row_failed(folder, capsys):
    manifest = _manifest(folder, "image,audio", f"{PORTRAIT},nowhere.wav")
    arguments = ["batch", str(manifest), "-o", str(folder / "out"), "--config", "debug"]
    assert cli.main([*arguments, "--log-json"]) == 2
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["outcome"] for e in events if e["event"] == "row"] == ["failed"]
