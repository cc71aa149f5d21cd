"""Jobs that are asked to end leave nothing half written, and say by their code why they ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vasa_jax.media.files import PendingFile, PendingFolder
from vasa_jax.signals import end_cleanly

# A command of `vasa-jax` that is writing a video and a folder when the signal comes. The real
# commands reach this place by a model, which takes long to compile.
WRITING = """
import hashlib, signal, sys, time
import numpy as np
from vasa_jax import cli
from vasa_jax.commands import generate
from vasa_jax.media.files import PendingFolder
from vasa_jax.media.writer import VideoWriter

def run(arguments):
    with PendingFolder(arguments.output.with_name("report"), "report") as folder:
        (folder.temporary / "sheet.png").write_bytes(b"picture")
        with VideoWriter(arguments.output, 64, 64) as video:
            video.write(np.zeros((30, 64, 64, 3), np.uint8))
            print("ready", flush=True)
            {wait}

generate.run = run
sys.exit(cli.main(["generate", "-s", "a.png", "-a", "a.wav", "-o", sys.argv[1]]))
"""
IN_PYTHON = "time.sleep(600)"
# Minutes in a C function that lets go of the interpreter, as XLA's compiler does.
IN_C = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
BRIEFLY = "time.sleep(2)"


def _start(code, *arguments, before=""):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", before + code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


@pytest.mark.parametrize("wait", [IN_PYTHON, IN_C])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_asked_to_end_leaves_nothing(tmp_path, number, wait):
    process = _start(WRITING.format(wait=wait), tmp_path / "out" / "a.mp4")
    assert len(os.listdir(tmp_path / "out")) == 2
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert os.listdir(tmp_path / "out") == []
    assert said.count("\n") == 1, said


def test_a_command_under_nohup_goes_on(tmp_path):
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    process = _start(WRITING.format(wait=BRIEFLY), tmp_path / "a.mp4", before=nohup)
    process.send_signal(signal.SIGHUP)
    assert (process.wait(60), os.listdir(tmp_path)) == (0, ["a.mp4"])


CREW = """
import sys, time
from vasa_jax.data_pipeline.prepare.pool import run_jobs
from vasa_jax.signals import exit_with
from tests.test_signals import work

if __name__ == "__main__":
    def main():
        for outcome in run_jobs(work, [0, 1], 2, (sys.argv[1],)):
            print(outcome)
        return 0
    import threading, os
    def tell():
        while len(os.listdir(sys.argv[1])) < 2:
            time.sleep(0.05)
        print("ready", flush=True)
    threading.Thread(target=tell, daemon=True).start()
    exit_with(main)
"""


def work(number, folder):
    """A job that is writing a file for ten minutes."""
    import time

    pending = PendingFile(Path(folder) / f"{number}.npz", "clip")
    try:
        time.sleep(600)
    finally:
        pending.discard()


@pytest.mark.parametrize("group", [False, True])
def test_worker_processes_end_with_their_parent(tmp_path, group):
    """Docker tells the first process alone, Slurm and terminals tell all of them."""
    script, folder = tmp_path / "crew.py", tmp_path / "out"
    script.write_text(CREW)
    folder.mkdir()
    process = _start(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", folder)
    (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
    # The workers hold the other ends of these pipes: that reading ends says that they have ended.
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert os.listdir(folder) == []


LOADING = """
import runpy, signal, sys
from vasa_jax.data_pipeline.loading.stream import Stream
from tests.test_signals import Numbers

if __name__ == "__main__":
    seen = []
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))  # as training does
    stream = Stream(Numbers(), 1)
    first = [int(next(stream)["n"]) for _ in range(3)]
    print("ready", flush=True)
    while not seen:
        signal.pause()
    print(first + [int(next(stream)["n"]) for _ in range(20)])
"""


class Numbers:
    """A recipe whose blocks are their own numbers."""

    def read(self, block):
        return [block]

    def make(self, number):
        return {"n": np.array(number)}


def test_the_loaders_workers_outlive_a_signal_to_all(tmp_path):
    """Slurm tells all processes of a job: training saves, and takes batches until it has."""
    script = tmp_path / "load.py"
    script.write_text(LOADING)
    process = _start(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    os.killpg(process.pid, signal.SIGTERM)
    found, said = process.communicate(timeout=100)
    assert (process.returncode, found.strip()) == (0, str(list(range(23)))), said


def test_handlers_are_as_they_were_afterwards():
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    with end_cleanly():
        assert {n: signal.getsignal(n) for n in before} != before
        with end_cleanly():
            pass
    assert {n: signal.getsignal(n) for n in before} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_folder_takes_its_name_whole_or_not_at_all(tmp_path):
    place = tmp_path / "a" / "report"
    place.mkdir(parents=True)
    (place / "old").touch()
    with PendingFolder(place, "report") as folder:
        (folder.temporary / "new").touch()
    assert os.listdir(place) == ["old"]
    with PendingFolder(place, "report") as folder:
        (folder.temporary / "new").touch()
        folder.commit()
    assert os.listdir(place) == ["new"]
    (place.parent / "link").symlink_to(place, target_is_directory=True)
    with PendingFolder(place.parent / "link", "report") as folder:
        folder.commit()
    assert os.listdir(place) == []
    assert sorted(os.listdir(place.parent)) == ["link", "report"]
