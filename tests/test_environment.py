"""A program among others: where it runs, who reads what it says, and what it may write to."""

import json
import os
import pwd
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import jax
import pytest

from tests.assets import PORTRAIT, hum, write_wav
from vasa_jax import cache, cli, compile_cache, zoo
from vasa_jax.errors import UserError
from vasa_jax.inference.progress import Reporter
from vasa_jax.media.video import probe
from vasa_jax.perception.face_detector import TFLiteNet

ROOT = Path(__file__).parent.parent
enable_compile_cache = compile_cache.enable_compile_cache  # before the session's fixture hides it


@pytest.fixture
def homeless(monkeypatch):
    """A user id that passwd does not know, without HOME, as in a container."""

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "VASA_JAX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def one_line(capsys, *words):
    """The only line that a command left on standard error; it ended with 2."""
    assert cli.main(list(words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("vasa-jax: error: ")
    assert error.count("\n") == 1
    return error


def test_a_user_without_a_home_folder(homeless, capsys, monkeypatch, tmp_path):
    assert "set VASA_JAX_CACHE" in one_line(capsys, "weights", "list")
    monkeypatch.setenv("VASA_JAX_CACHE", "~nobody-here/cache")
    assert "~nobody-here" in one_line(capsys, "weights", "list")
    monkeypatch.setenv("VASA_JAX_CACHE", str(tmp_path))
    assert cli.main(["weights", "list"]) == 0


def test_a_cache_folder_that_cannot_be_made_costs_speed_alone(monkeypatch, tmp_path, capsys):
    (tmp_path / "xla").write_text("in the way")
    monkeypatch.setenv("VASA_JAX_CACHE", str(tmp_path))
    assert enable_compile_cache() is None
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VASA_JAX_CACHE", str(tmp_path / "file"))
    assert "cannot make the cache folder" in one_line(capsys, "weights", "list")


def test_programs_are_kept_where_jax_was_told(tmp_path):
    code = (
        "import jax; from vasa_jax.compile_cache import enable_compile_cache\n"
        "print(enable_compile_cache()); jax.jit(lambda x: x + 1)(1.0)"
    )
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "told"),
        "VASA_JAX_CACHE": str(tmp_path / "own"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"
    assert any((tmp_path / "told").iterdir())
    assert not (tmp_path / "own").exists()


def test_no_folder_for_temporary_files(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="TMPDIR"):
        TFLiteNet(b"", ())
    monkeypatch.setattr(zoo.store, "download", lambda *_: pytest.fail("nothing to write it to"))
    with pytest.raises(UserError, match="TMPDIR"):
        zoo.fetch("face-landmarker")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with cache.temporary_folder() as folder:
        (folder / "a").write_text("b")
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_one_line():
    words = [sys.executable, "-m", "vasa_jax.cli", "config", "show", "debug", "--params"]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "rocm"}
    )
    assert done.returncode == 2
    assert done.stderr.startswith("vasa-jax: error: JAX finds no device of JAX_PLATFORMS=rocm")
    assert done.stderr.count("\n") == 1


def test_a_platform_without_its_plug_in_is_one_line(monkeypatch, capsys):
    """JAX 0.10 fails by a bare assertion there."""

    def none(*_):
        raise AssertionError

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr("vasa_jax.commands.config.run", none)
    with pytest.raises(AssertionError):  # JAX is well, so the mistake is ours and must be seen
        cli.main(["config", "list"])
    monkeypatch.setattr(jax, "devices", none)
    assert "JAX_PLATFORMS=cuda; install" in one_line(capsys, "config", "list")


@contextmanager
def unread():
    """Standard output as a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        yield stream
        assert sys.stdout is stream  # as the command found it
        stream.write("and the interpreter's flush at exit fails no more")
        stream.flush()


def test_a_reader_that_goes_away_ends_no_work(tmp_path):
    speech, output = write_wav(tmp_path / "a.wav", hum(0.4)), tmp_path / "a.mp4"
    words = [
        "generate",
        "--config",
        "debug",
        "-s",
        str(PORTRAIT),
        "-a",
        str(speech),
        "-o",
        str(output),
        "--log-json",
    ]
    with unread():
        assert cli.main(words) == 0
    assert probe(output).frames == 10


def test_a_reader_that_goes_away_from_a_list(capsys):
    with unread():
        assert cli.main(["config", "list"]) == 0
    with unread(), pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_log_that_cannot_be_written_is_told(monkeypatch, capsys):
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert "No space left" in one_line(capsys, "config", "list")
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", full)
        assert cli.main(["config", "show", "nowhere"]) == 2  # nobody to tell


@pytest.mark.parametrize("mode", ["quiet", "json", "bar"])
def test_errors_reach_standard_error_in_every_mode(mode, capsys):
    Reporter(mode).error("row 3: no such file")
    shown = capsys.readouterr()
    assert shown.err == "row 3: no such file\n"
    expected = [{"event": "error", "text": "row 3: no such file"}] if mode == "json" else []
    assert [json.loads(line) for line in shown.out.splitlines()] == expected


def test_quiet_commands_say_what_failed(tmp_path, capsys):
    """`batch` and `extract-motion` go on after a bad item, and `prepare` too: its test is there."""
    (tmp_path / "table.csv").write_text(f"image,audio\n{PORTRAIT},nowhere.wav\n")
    words = ["batch", str(tmp_path / "table.csv"), "-o", str(tmp_path / "out"), "--config", "debug"]
    assert cli.main([*words, "-q"]) == 2
    shown = capsys.readouterr()
    assert "nowhere.wav" in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "bad.mp4").write_bytes(b"no video")
    words = [
        "extract-motion",
        str(tmp_path / "videos"),
        "-o",
        str(tmp_path / "motion"),
        "--config",
        "debug",
        "-q",
    ]
    assert cli.main(words) == 2
    assert "bad.mp4" in capsys.readouterr().err
