"""A table of clips: bad rows are reported, good ones made, finished ones skipped, one program."""

import json
import os

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
from vasa_jax.media.places import LONGEST_NAME


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


def test_no_row_overwrites_an_input_of_any_row_or_the_manifest(pipeline, folder):
    """The row says so, by whatever path the file is named, and the other rows go on."""
    out = folder / "out"
    out.mkdir()
    write_wav(out / "sound.mp4", hum(0.4))
    os.link(out / "sound.mp4", folder / "hard.wav")
    (folder / "soft.wav").symlink_to(out / "sound.mp4")
    before = (out / "sound.mp4").read_bytes()
    for heard in ("out/sound.mp4", "hard.wav", "soft.wav"):
        rows = [f"{PORTRAIT},short.wav,sound", f"{PORTRAIT},{heard},b-{heard[:4].strip('/')}"]
        assert run_batch(_manifest(folder, "image,audio,name", *rows), out, pipeline, QUIET) == (
            1, 0, 1)  # fmt: skip
        error = read_manifest(folder / "rows.csv", out)[0].error
        assert "sound.mp4 would overwrite the audio of row 3" in error
        assert (out / "sound.mp4").read_bytes() == before
    manifest = out / "list.json"
    manifest.write_text(f"image,audio,name\n{PORTRAIT},../short.wav,list\n")
    assert "the manifest itself" in read_manifest(manifest, out)[0].error


def test_files_that_no_batch_wrote_stay(pipeline, folder):
    """Neither NAME.json nor NAME.mp4 of somebody else is replaced; what a batch made is."""
    out = folder / "out"
    out.mkdir()
    foreign = {"a.json": b'{"notes": "mine"}', "b.json": b"[1]", "c.mp4": b"a video of mine"}
    for name, content in foreign.items():
        (out / name).write_bytes(content)
    rows = [f"{PORTRAIT},short.wav,{name},1" for name in "abcd"]
    manifest = _manifest(folder, "image,audio,name,seed", *rows)
    assert run_batch(manifest, out, pipeline, QUIET) == (1, 0, 3)
    assert {name: (out / name).read_bytes() for name in foreign} == foreign
    assert sorted(p.name for p in out.iterdir()) == sorted([*foreign, "d.mp4", "d.json"])
    # A run that was killed between the video and its record does the same row again ...
    (out / "d.json").unlink()
    assert run_batch(manifest, out, pipeline, QUIET) == (1, 0, 3)
    # ... and a video of another making is not taken for it.
    (out / "d.json").unlink()
    other = _manifest(folder, "image,audio,name,seed", f"{PORTRAIT},short.wav,d,2")
    assert run_batch(other, out, pipeline, QUIET) == (0, 0, 1)


def test_long_names_are_cut_and_a_rerun_knows_them(pipeline, folder):
    """Two names of 300 bytes that begin alike, and an image and sound whose names join to one."""
    image, audio = folder / f"{'i' * 240}.jpg", folder / f"{'ä' * 120}.wav"
    image.symlink_to(PORTRAIT)
    audio.symlink_to(folder / "short.wav")
    long = ["ü" * 149 + end for end in "xy"]
    rows = [f"{PORTRAIT},short.wav,{name}" for name in long] + [f"{image.name},{audio.name},"]
    manifest = _manifest(folder, "image,audio,name", *rows)
    out = folder / "out"
    assert run_batch(manifest, out, pipeline, QUIET) == (3, 0, 0)
    assert run_batch(manifest, out, pipeline, QUIET) == (0, 3, 0)
    names = [p.name for p in out.iterdir()]
    assert len(names) == 6
    assert max(len(os.fsencode(name)) for name in names) <= LONGEST_NAME
    assert sum(name.startswith("ü" * 100) for name in names) == 4
    told: list[str] = []
    read_manifest(manifest, out, told.append)
    assert ["row 2: the name is too long" in told[0], len(told)] == [True, 3]


def test_names_in_other_capitals_are_one_where_the_disk_says_so(folder, monkeypatch):
    manifest = _manifest(folder, "image,audio,name", "a.png,b.wav,X", "a.png,b.wav,x")
    assert [row.error for row in read_manifest(manifest, folder / "out")] == [None, None]
    monkeypatch.setattr("vasa_jax.inference.manifest.tells_case", lambda _: False)
    assert "not in capitals alone" in read_manifest(manifest, folder / "out")[1].error
