"""Training benchmarks: model work, and the loader's timing."""

import pytest

from vasa_jax.benchmark.subject import BenchmarkModel, Options
from vasa_jax.config import get_config


@pytest.mark.parametrize("stage", ["motion"])
def test_recomputing_is_no_work_of_the_model(stage):
    from vasa_jax.benchmark.training_benchmarks import _model_work, training_task
    from vasa_jax.benchmark.work import count_jaxpr
    from vasa_jax.training.mesh import single_device
    from vasa_jax.training.program import build_program

    def hardware(config):
        task = training_task(config, stage)
        program = build_program(task, single_device())
        return count_jaxpr(
            program.jitted.trace(program.abstract_state, task.frozen, task.batch).jaxpr
        )

    plain, full = (get_config("debug", [f"train_{stage}.remat={r}"]) for r in ("none", "full"))
    assert _model_work(full, stage) == hardware(plain)
    assert hardware(full).flops > 1.1 * hardware(plain).flops


def test_a_loader_is_timed_and_closed(tmp_path):
    from vasa_jax.benchmark.runner import Effort, measure
    from vasa_jax.benchmark.training_benchmarks import LOADER_BATCHES, loader_cases

    class Batches:
        taken, closed = 0, False

        def __next__(self):
            self.taken += 1

        def close(self):
            self.closed = True

    batches = Batches()
    options = Options(data=tmp_path, open_loader=lambda folder, config, batch: batches)
    (case,) = loader_cases(BenchmarkModel(get_config("debug"), options=options))
    row = measure(case, Effort(repeats=3), {})
    assert batches.taken == 1 + 4 * LOADER_BATCHES
    assert batches.closed
    assert row["units"] == LOADER_BATCHES * 4
