"""A table of clips: bad rows are reported, good ones made, finished ones skipped, one program."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from tests.assets import PORTRAIT, hum, write_wav
from tests.inference.test_generate import QUIET, _read
from vasa_jax import cli
from vasa_jax.bundle import init_bundle
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.inference.batch import run_batch
from vasa_jax.inference.manifest import read_manifest
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.render import Clip, render
from vasa_jax.inference.request import Controls
from vasa_jax.inference.video_file import ClipFile
from vasa_jax.media.places import LONGEST_NAME
from vasa_jax.media.writer import frame_count


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
    )
    out = folder / "out"
    assert run_batch(manifest, out, pipeline, QUIET) == (2, 0, 4)
    assert sorted(p.name for p in out.iterdir()) == [
        "first.json",
        "first.mp4",
        "third.json",
        "third.mp4",
    ]
    assert [len(_read(out / f"{n}.mp4")[0]) for n in ("first", "third")] == [13, 78]
    record = json.loads((out / "third.json").read_text())
    assert record["seed"] == 3
    assert record["controls"]["emotion"] == [["happiness", 0.5]]


def test_a_rerun_skips_what_is_finished_and_redoes_what_changed(pipeline, folder):
    rows = [f"{PORTRAIT},short.wav,a,1", f"{PORTRAIT},long.wav,b,2"]
    out = folder / "out"
    assert run_batch(_manifest(folder, "image,audio,name,seed", *rows), out, pipeline, QUIET) == (
        2,
        0,
        0,
    )
    made = (out / "a.mp4").stat().st_mtime_ns
    rows[1] = rows[1][:-1] + "7"
    again = run_batch(_manifest(folder, "image,audio,name,seed", *rows), out, pipeline, QUIET)
    assert again == (1, 1, 0)
    assert (out / "a.mp4").stat().st_mtime_ns == made
    other = Pipeline(init_bundle(get_config("debug"), seed=1), batch=2)
    assert run_batch(_manifest(folder, "image,audio,name,seed", *rows), out, other, QUIET).made == 2


def _clips(pipeline, *which, size=64):
    """Clips of different portraits, sounds, lengths and controls, by their numbers."""
    made = []
    for k in which:
        seconds = (0.5, 3.1, 0.04, 1.7, 2.4, 1.0)[k]
        sound = (hum(seconds) * (1 - 0.1 * k)).astype(np.float32)
        portrait = np.random.default_rng(k).integers(0, 256, (size, size, 3), dtype=np.uint8)
        controls = Controls(gaze=(3.0 * k, -2.0), distance=1.0 + 0.1 * k)
        count = frame_count(seconds)
        made.append(Clip(pipeline.encode(portrait), sound, count, controls, seed=k))
    return made


def _rendered(pipeline, clips):
    """All frames of each clip."""
    found = [[] for _ in clips]
    for number, frames in render(clips, pipeline, QUIET):
        found[number].append(frames)
    return [np.concatenate(frames) for frames in found]


@pytest.fixture(scope="module")
def wide(debug_bundle):
    """Three devices."""
    return Pipeline(debug_bundle, devices=jax.devices()[:3])


def test_a_clip_is_the_same_alone_and_in_company_on_any_number_of_devices(wide, debug_pipeline):
    """To the bit, at any place of a group, whatever its companions are."""
    alone = [_rendered(debug_pipeline, _clips(debug_pipeline, k))[0] for k in range(3)]
    for order in ((0, 1, 2), (2, 0, 1), (1, 3), (4, 1, 0)):
        for k, frames in zip(order, _rendered(wide, _clips(wide, *order)), strict=True):
            if k < 3:
                np.testing.assert_array_equal(frames, alone[k])
    assert [len(frames) for frames in alone] == [13, 78, 1]
    assert np.abs(np.diff(alone[1].astype(int), axis=0)).max() > 1  # it does move


def test_companions_change_nothing_where_a_device_samples_several(pipeline):
    """In the same program, of two rows; that of one row differs by rounding."""
    ours, other, third = _clips(pipeline, 1, 0, 4)
    (first, _), (second, _) = (_rendered(pipeline, [ours, c]) for c in (other, third))
    np.testing.assert_array_equal(first, second)


def test_portraits_are_encoded_side_by_side(wide, debug_pipeline):
    portraits = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    together = wide.encode_all(list(portraits))
    assert len(together) == 5
    assert len({leaf.devices().pop() for leaf in jax.tree.leaves(together[:3])}) == 3
    for source, portrait in zip(together, portraits, strict=True):
        jax.tree.map(np.testing.assert_array_equal, source, debug_pipeline.encode(portrait))


def test_frames_come_before_the_sound_is_encoded(debug_pipeline, monkeypatch):
    """What is held of a clip does not grow with its length: a minute's frames begin after one chunk
    of features and one call of the sampler."""
    chunks, calls = [], []
    encoder, sample = debug_pipeline.audio_encoder, debug_pipeline._sample
    encode = encoder.encode
    clip = _clips(debug_pipeline, 1)[0]
    clip = clip._replace(sound=np.tile(clip.sound, 20)[: 16_000 * 60], frames=1500)
    _rendered(debug_pipeline, [clip._replace(frames=1)])  # the silence before a clip is known
    monkeypatch.setattr(
        debug_pipeline.audio_encoder, "encode", lambda *a: chunks.append(1) or encode(*a)
    )
    monkeypatch.setattr(debug_pipeline, "_sample", lambda *a: calls.append(1) or sample(*a))
    made = render([clip], debug_pipeline, QUIET)
    assert len(next(made)[1]) == debug_pipeline.config.inference.decode_batch
    assert (len(chunks), len(calls)) == (1, 1)
    assert sum(len(frames) for _, frames in made) == 1500 - 16
    assert (len(chunks), len(calls)) == (4, -(-1500 // debug_pipeline.frames_per_call))


def test_a_clip_that_cannot_be_made_does_not_touch_the_others(wide):
    clips = _clips(wide, 0, 1, 4)
    wanted = _rendered(wide, clips)
    broken = clips[1]._replace(sound=np.full(16_000, np.nan, np.float32))
    found = list(render([clips[0], broken, clips[2]], wide, QUIET))
    errors = [made for number, made in found if number == 1]
    assert len(errors) == 1
    assert "not finite" in str(errors[0])
    for k in (0, 2):
        frames = np.concatenate([made for number, made in found if number == k])
        np.testing.assert_array_equal(frames, wanted[k])


def test_a_video_that_cannot_be_written_fails_its_row_alone(wide, folder, monkeypatch):
    rows = [
        f"{PORTRAIT},{length}.wav,{name},1"
        for name, length in (("a", "long"), ("b", "long"), ("c", "short"), ("d", "short"))
    ]
    manifest = _manifest(folder, "image,audio,name,seed", *rows)
    write = ClipFile.write

    def full(self, frames):
        if self.frames and self._writer._name.endswith("b.mp4"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, frames)

    monkeypatch.setattr(ClipFile, "write", full)
    out = folder / "out"
    assert run_batch(manifest, out, wide, QUIET) == (3, 0, 1)
    assert sorted(p.name for p in out.iterdir()) == [
        "a.json",
        "a.mp4",
        "c.json",
        "c.mp4",
        "d.json",
        "d.mp4",
    ]


SCRIPT = Path(__file__).parent / "eight_devices.py"


def test_eight_devices_make_the_files_of_one_and_compile_each_program_once(tmp_path):
    """In a process of its own, with XLA's optimisations as users have them. Six clips of six
    lengths: the videos of `batch` on eight devices are those of `generate`, byte for byte, and no
    more was compiled than the four programs."""
    for k, seconds in enumerate((0.04, 0.5, 1.0, 1.7, 2.4, 3.1)):
        write_wav(tmp_path / f"{k}.wav", hum(seconds) * (1 - 0.1 * k))
        noise = np.random.default_rng(k).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((128, 128)).save(tmp_path / f"{k}.png")
    rows = [f"{k}.png,{k}.wav,{k},{k},{1 + 0.1 * k},none" for k in range(6)]
    _manifest(tmp_path, "image,audio,name,seed,distance,crop", *rows)
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path],
        capture_output=True,
        text=True,
        env=os.environ | {"NPROC": "16"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 8
    assert found["made"] == 6
    assert found["programs"] == {
        "encode": 1,
        "encode_audio": 1,
        "measure_audio": 0,
        "sample": 1,
        "decode": 1,
    }
    assert len(found["compilations"]) == 4, found["compilations"]
    for k in range(6):
        alone, together = (tmp_path / w / f"{k}.mp4" for w in ("one", "eight"))
        assert alone.read_bytes() == together.read_bytes(), f"clip {k}"
        assert len(_read(alone)[0]) == (1, 13, 25, 43, 60, 78)[k]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "0"], "at least 1"),
        (["--devices", "99"], "this host has 8"),
        (["--batch-size", "0"], "at least 1"),
    ],
)
def test_impossible_sizes_are_one_line(folder, capsys, words, message):
    manifest = _manifest(folder, "image,audio", f"{PORTRAIT},short.wav")
    command = ["batch", str(manifest), "-o", str(folder / "out"), "--config", "debug", *words]
    assert cli.main(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


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
            1,
            0,
            1,
        )
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
