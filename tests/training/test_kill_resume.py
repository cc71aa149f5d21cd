"""Four steps straight, and two, a SIGKILL, and two more: the same bits, for both real stages."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from vasa_jax.config import get_config
from vasa_jax.training.checkpoint import Checkpoints
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.loop import train

FACE = (
    "face.image_size=32",
    "face.identity_image_size=32",
    "face.motion_image_size=32",
    "train_face.batch=2",
    "train_face.save_every=2",
    "face_losses.consistency.start=0",
    "face_losses.perceptual.weight=0",
    "face_losses.face_features.weight=0",
    "face_losses.cross_identity.weight=0",
    "face_losses.consistency.perceptual=0",
)
MOTION = ("train_motion.batch=2", "train_motion.save_every=2")


def real_task(stage):
    if stage == "face":
        from vasa_jax.training.face_trainer import face_trainer

        return face_trainer(get_config("debug", list(FACE)))
    from vasa_jax.training.motion_trainer import motion_trainer

    return motion_trainer(get_config("debug", list(MOTION)))


class Deadly(FakeBatches):
    """Kills its own process in the step after the save, once the checkpoint is on disk."""

    def __init__(self, struct, saved: Path):
        super().__init__(struct)
        self._saved = saved

    def __next__(self):
        if self._index == 3:
            while not self._saved.is_dir():
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__next__()


KILLED = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import jax
from pathlib import Path
for name, value in {settings!r}.items():
    jax.config.update(name, value)
from test_kill_resume import Deadly, real_task, train

task = real_task({stage!r})
data = Deadly(task.batch, Path({workdir!r}, "checkpoints", "2"))
train(task, {workdir!r}, data, steps=4, devices=jax.devices()[:1])
"""
# Those of conftest.py, which the child does not read: another setting, another rounding.
SETTINGS = {
    "jax_platforms": "cpu",
    "jax_num_cpu_devices": 8,
    "jax_default_matmul_precision": "highest",
    "jax_disable_most_optimizations": True,
    "jax_persistent_cache_min_compile_time_secs": 0.3,
}


def run(stage, workdir):
    task = real_task(stage)
    return train(task, workdir, FakeBatches(task.batch), steps=4, devices=jax.devices()[:1])


@pytest.mark.parametrize("stage", ["motion", pytest.param("face", marks=pytest.mark.slow)])
def test_killed_then_resumed_is_four_straight(stage, tmp_path):
    here = Path(__file__).parent
    straight = run(stage, tmp_path / "straight")
    workdir = tmp_path / "killed"
    code = KILLED.format(
        tests=str(here),
        root=str(here.parents[1]),
        settings=SETTINGS | {"jax_compilation_cache_dir": jax.config.jax_compilation_cache_dir},
        stage=stage,
        workdir=str(workdir),
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert Checkpoints(workdir / "checkpoints").latest() == 2
    resumed = run(stage, workdir)
    assert resumed.step == 4
    assert int(straight.state.step) == 4
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(np.array(a), np.array(b)),
        resumed.state,
        straight.state,
    )
