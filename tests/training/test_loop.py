"""The loop: resume is bit for bit, NaN stops it by name, signals save, logs appear."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import toy_task

from vasa_jax.errors import UserError
from vasa_jax.training.checkpoint import Checkpoints
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.loop import train
from vasa_jax.training.mesh import single_device
from vasa_jax.training.program import build_program, init_state
from vasa_jax.training.progress import peak_flops, program_flops

ONE = jax.devices()[:1]


def run(workdir, steps, settings=None, mesh=None, devices=ONE, data=None, **kw):
    task = toy_task({"save_every": 2} | (settings or {}), mesh)
    data = FakeBatches(task.batch) if data is None else data
    return train(task, workdir, data, steps=steps, devices=devices, **kw)


def arrays(state):
    return jax.tree.map(np.array, state)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, arrays(a), arrays(b))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return folder, arrays(run(folder, 4).state)


def test_two_and_two_steps_are_four(straight, tmp_path):
    first = run(tmp_path, 2)
    assert (first.step, first.finished) == (2, True)
    second = run(tmp_path, 4)
    assert second.step == 4
    assert_same(second.state, straight[1])
    # Neither the seed nor chance makes runs equal: other data, other result.
    other = run(tmp_path / "other", 4, data=FakeBatches(toy_task().batch, seed=1))
    assert not np.array_equal(
        other.state.params["mlp"]["up"]["kernel"], straight[1].params["mlp"]["up"]["kernel"]
    )


def test_done_already(straight):
    folder, state = straight
    again = run(folder, 4)
    assert again.finished
    assert_same(again.state, state)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_disable_most_optimizations", True)
from toys import toy_task
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.signals import end_cleanly
from vasa_jax.training.loop import train

task = toy_task({{"save_every": 2}})

class Deadly(FakeBatches):
    def __next__(self):
        if self._index == 3:
            # The step after the save: the checkpoint is on disk once the next step could start.
            while not os.path.isdir(os.path.join({workdir!r}, "checkpoints", "2")):
                pass
            os.kill(os.getpid(), signal.{signal})
        return super().__next__()

with end_cleanly():  # as on the command line
    train(task, {workdir!r}, Deadly(task.batch), steps=4, devices=jax.devices()[:1])
"""


def killed(workdir, name):
    tests = str(Path(__file__).parent)
    code = KILLED.format(tests=tests, workdir=str(workdir), signal=name)
    environment = os.environ | {"PYTHONPATH": str(Path(tests).parents[1])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)


def test_killed_at_once_then_resumed_is_four_straight(straight, tmp_path):
    ended = killed(tmp_path, "SIGKILL")
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    resumed = run(tmp_path, 4)
    assert resumed.step == 4
    assert_same(resumed.state, straight[1])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_asked_to_stop_saves_the_step_it_is_at(straight, tmp_path, name):
    ended = killed(tmp_path, name)
    assert ended.returncode == 0, ended.stderr.decode()
    assert Checkpoints(tmp_path / "checkpoints").latest() == 4  # the batch was taken, so it is used
    resumed = run(tmp_path, 4)
    assert_same(resumed.state, straight[1])


class Stopping(FakeBatches):
    """Asks its own process to stop before a given batch, as a user's Ctrl-C would."""

    def __next__(self):
        if self._index == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return super().__next__()


def test_ctrl_c_saves_and_resumes(straight, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    stopped = run(tmp_path, 4, data=Stopping(toy_task().batch))
    assert (stopped.step, stopped.finished) == (2, False)
    assert signal.getsignal(signal.SIGINT) == before
    assert_same(run(tmp_path, 4).state, straight[1])


class Poisoned(FakeBatches):
    def __next__(self):
        batch = super().__next__()
        if self._index == 3:
            batch.target[0, 0] = np.nan
        return batch


def test_nan_stops_with_step_and_name_and_saves_nothing(tmp_path):
    with pytest.raises(UserError, match=r"step 3: error is not finite .*grad_norm"):
        run(tmp_path, 20, {"save_every": 1}, data=Poisoned(toy_task().batch))
    assert Checkpoints(tmp_path / "checkpoints").latest() == 2


def test_exploding_update_is_caught_by_its_norm(tmp_path):
    class Huge(FakeBatches):
        def __next__(self):
            batch = super().__next__()
            batch.target[:] = 1e19
            return batch

    # The loss, near 1e38, is finite still; its gradient's norm is not.
    with pytest.raises(UserError, match=r"step 1: .*grad_norm"):
        run(tmp_path, 3, data=Huge(toy_task().batch))


def test_logs(straight):
    folder, _ = straight
    lines = [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines] == [1, 2, 3, 4]
    assert {"loss", "grad_norm", "update_norm", "param_norm", "it/s", "images/s"} <= set(lines[0])
    assert "mfu" not in lines[0]  # nobody knows this CPU's peak
    assert (folder / "samples" / "00000004.png").stat().st_size > 0
    events = list((folder / "logs").glob("events.*"))
    assert any(b"grad_norm" in x.read_bytes() for x in events)


def test_flops_are_xlas_and_peaks_the_makers():
    count = 64
    compiled = jax.jit(lambda a, b: a @ b).lower(*[jnp.ones((count, count))] * 2).compile()
    assert program_flops(compiled) == pytest.approx(2 * count**3, rel=0.01)
    assert peak_flops("NVIDIA H100 80GB HBM3", "bf16") == 989e12
    assert peak_flops("NVIDIA RTX A6000", "bf16") == 154.8e12
    assert peak_flops("NVIDIA GB200", "bf16") == 2250e12
    assert peak_flops("TPU v5 lite", "bf16") == 197e12  # v5e
    assert peak_flops("NVIDIA H100 80GB HBM3", "f32") is None
    assert peak_flops("cpu", "bf16") is None


def test_resumes_on_another_mesh(straight, tmp_path):
    run(tmp_path, 2, mesh={"data": 2, "fsdp": 4}, devices=None)
    resumed = run(tmp_path, 4, mesh={"data": 2, "fsdp": 2, "tensor": 2}, devices=None)
    assert resumed.state.params["mlp"]["up"]["kernel"].sharding.spec == jax.P("fsdp", "tensor")
    # Adam divides by the size of gradients, so other orders of sums show a little more than 1e-6.
    for a, b in zip(jax.tree.leaves(resumed.state), jax.tree.leaves(straight[1]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_checkpoint_mistakes(tmp_path):
    task = toy_task()
    program = build_program(task, single_device())
    state = init_state(task, program)
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    restore = lambda config=task.config, stage="face", abstract=program.abstract_state: (  # noqa: E731
        checkpoints.restore(abstract, config, stage)
    )
    assert restore() is None  # the folder is there, but no step yet
    for step in (1, 2, 3):
        checkpoints.save(step, state, {"index": step}, task.config, "face")
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    assert sorted(x.name for x in (tmp_path / "c").iterdir() if x.name.isdigit()) == ["2", "3"]
    found = restore()
    assert (found.step, found.iterator) == (3, {"index": 3})
    assert_same(found.state, state)
    with pytest.raises(UserError, match="of stage 'face', not of 'motion'"):
        restore(stage="motion")
    wider = replace(task.config, face=replace(task.config.face, dyn_dim=99))
    with pytest.raises(UserError, match=r"trained with face.dyn_dim=16, this run asks for 99"):
        restore(wider)
    other = program.abstract_state._replace(constants={})
    with pytest.raises(UserError, match="holds 'constants/c'"):
        restore(abstract=other)
    spec = jax.ShapeDtypeStruct((5,), jnp.float32, sharding=single_device().replicated())
    with pytest.raises(UserError, match=r"constants/c has shape \(2,\), this run needs \(5,\)"):
        restore(abstract=program.abstract_state._replace(constants={"c": spec}))
    for file in (tmp_path / "c" / "3" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"cannot be read .*remove this folder"):
        restore()


def test_workdir_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used as --workdir"):
        run(tmp_path / "file", 1)


def test_data_that_ends_or_does_not_fit(tmp_path):
    task = toy_task()
    batch = next(FakeBatches(task.batch))
    with pytest.raises(UserError, match="data ended at step 1 of 3"):
        run(tmp_path / "a", 3, data=iter([batch]))
    with pytest.raises(UserError, match=r"'target' is float32\[16, 3, 1\].*needs float32\[16, 3\]"):
        run(tmp_path / "b", 3, data=iter([batch._replace(target=batch.target[..., None])]))


def test_initial_parameters(tmp_path):
    task = toy_task()
    params = jax.tree.map(
        lambda s: np.full(s.shape, 0.5, np.float32),
        build_program(task, single_device()).abstract_state.params,
    )
    after = run(tmp_path, 1, {"learning_rate": 1e-9, "weight_decay": 0.0}, initial=params).state
    assert all(np.allclose(x, 0.5, atol=1e-6) for x in jax.tree.leaves(after.params))
    half = lambda fresh: jax.tree.map(lambda x: np.full_like(x, 0.5), fresh)  # noqa: E731
    made = run(tmp_path / "c", 1, {"learning_rate": 1e-9, "weight_decay": 0.0}, initial=half).state
    jax.tree.map(np.testing.assert_array_equal, made.params, after.params)
    del params["mlp"]["up"]
    with pytest.raises(UserError, match="initial parameters: lacks"):
        run(tmp_path / "b", 1, initial=params)
