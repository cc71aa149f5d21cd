"""Jobs of many processes: two real ones with two devices each, on the CPU."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.assets import PORTRAIT, write_wav
from vasa_jax.config import get_config
from vasa_jax.errors import UserError
from vasa_jax.media.video import probe
from vasa_jax.training.checkpoint import saved_in
from vasa_jax.training.hosts import Cluster, cluster_of
from vasa_jax.training.run import export

ROOT = Path(__file__).parents[2]
CONFIG = get_config("debug")
FACE = [
    *("--set", "face.image_size=32"),
    *("--set", "face.identity_image_size=32"),
    *("--set", "face.motion_image_size=32"),
]
SMALL = [
    *("--set", "train_face.batch=4"),
    *("--set", "face_losses.consistency.weight=0"),
    *("--set", "face_losses.perceptual.weight=0"),
    *("--set", "face_losses.face_features.weight=0"),
    *("--set", "face_losses.cross_identity.weight=0"),
    *("--set", "face_losses.contrast.weight=0"),
    *("--set", "face_losses.self_drive.weight=0"),
]
STAGES = {
    "motion": ["--set", "train_motion.batch=4", "--set", "train_motion.ema=0.5"],
    "face": FACE + SMALL + ["--set", "train_face.ema=0.5"],
}


def test_the_options_of_a_job_by_hand():
    assert cluster_of(None, None, None) is None
    assert cluster_of("node0:1234", 2, 1) == Cluster("node0:1234", 2, 1)
    assert cluster_of("[::1]:1234", 1, 0) == Cluster("[::1]:1234", 1, 0)
    for given, words in (
        (("node0:1", 2, None), "--process-id missing"),
        ((None, 2, 1), "--coordinator missing"),
        (("node0", 2, 1), "is not HOST:PORT"),
        (("node0:99999", 2, 1), "is not HOST:PORT"),
        (("node0:1234", 2, 2), "must be 0 to 1"),
    ):
        with pytest.raises(UserError, match=words):
            cluster_of(*given)


def start(words, devices=1):
    """A command in a process of its own, with virtual devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {
        "XLA_FLAGS": flags,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "vasa_jax.cli", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(processes):
    """(exit codes, what they said)."""
    said = [process.communicate(timeout=600)[0] for process in processes]
    return [process.returncode for process in processes], said


def start_job(words, count=2, devices=2):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = ["--coordinator", f"127.0.0.1:{port}", "--processes", count, "--process-id"]
    return [start([*words, *cluster, k], devices) for k in range(count)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for number in range(5):
        np.savez(
            folder / f"{number}.npz",
            motion=rng.normal(size=(60, CONFIG.face.motion_dim)).astype(np.float32),
            waveform=(rng.normal(size=60 * 640) * 0.1).astype(np.float32),
        )
    return folder


def train_words(stage, clips, workdir, steps, *more):
    section = f"train_{stage}"
    data = ["--data", clips] if stage == "motion" else []
    every = ["--set", f"{section}.save_every={steps}", "--set", f"{section}.log_every=1"]
    where = ["--workdir", workdir, "--steps", steps]
    return ["train", stage, "--config", "debug", *data, *where, *every, *STAGES[stage], *more]


@pytest.fixture(scope="module", params=["motion", pytest.param("face", marks=pytest.mark.slow)])
def job(request, clips, tmp_path_factory):
    """Two steps of a job of two processes and four devices: its stage and folder."""
    folder = tmp_path_factory.mktemp(request.param)
    words = train_words(request.param, clips, folder / "job", 2)
    codes, said = finish(start_job(words))
    assert codes == [0, 0], said
    assert "step 2" in said[0]
    assert "step" not in said[1]  # one process speaks for all
    return request.param, folder


def test_one_process_goes_on_where_two_have_been(job, clips):
    """With the data, too: four steps by one process have the same losses and end in one place."""
    stage, folder = job
    hosts = sorted(f.name for f in (folder / "job/checkpoints/2/iterator").glob("host*"))
    assert hosts == ["host-0-of-2.json", "host-1-of-2.json"]
    codes, said = finish([start(train_words(stage, clips, folder / "job", 4))])
    assert codes == [0], said
    assert "resumed from step 2" in said[0]
    assert sorted(f.name for f in (folder / "job/checkpoints").glob("[0-9]*")) == ["2", "4"]
    if stage == "face":  # on random batches, which are each host's own
        return
    codes, said = finish([start(train_words(stage, clips, folder / "straight", 4))])
    assert codes == [0], said
    names = "job", "straight"
    one, other = (export(CONFIG, stage, folder / name) for name in names)
    assert (one.step, other.step) == (4, 4)
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        # Sums in another order; Adam's first steps have the size of the rate whatever the gradient.
        assert np.abs(a - b).mean() < 1e-4
    logs = [(folder / name / "metrics.jsonl").read_text().splitlines() for name in names]
    losses = [[x["loss"] for x in map(json.loads, lines) if "loss" in x] for lines in logs]
    assert len(losses[0]) == len(losses[1]) == 4
    np.testing.assert_allclose(*losses, rtol=2e-3)


def test_what_a_job_has_trained_talks(job, tmp_path):
    stage, folder = job
    assert saved_in(folder / "job")["stage"] == stage
    bundle, video = tmp_path / "bundle", tmp_path / "out.mp4"
    words = [
        "export",
        folder / "job",
        "--config",
        "debug",
        "-o",
        bundle,
        *(FACE if stage == "face" else ()),
    ]
    codes, said = finish([start(words)])
    assert codes == [0], said
    write_wav(tmp_path / "a.wav", np.sin(np.arange(16_000) / 20) * 0.3)
    talk = ["generate", "-s", PORTRAIT, "-a", tmp_path / "a.wav", "-o", video]
    codes, said = finish([start([*talk, "--checkpoint", bundle])])
    assert codes == [0], said
    assert probe(video).frames == 25


def test_a_job_that_is_preempted_saves_and_fails(clips, tmp_path):
    """So that a scheduler starts it again; every process at one step."""
    running = start_job(train_words("motion", clips, tmp_path, 100_000))
    log = tmp_path / "metrics.jsonl"
    for _ in range(3000):
        if log.exists() and log.read_text().count("\n") > 2:
            break
        time.sleep(0.1)
    running[1].send_signal(signal.SIGTERM)
    codes, said = finish(running)
    assert codes == [128 + signal.SIGTERM] * 2, said
    (step,) = [int(f.name) for f in (tmp_path / "checkpoints").iterdir() if f.name.isdigit()]
    assert 2 < step < 100_000
