"""Swap groups rendered by processes during training; no file is written."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recipes.demo.lease.parts import Scale
from recipes.demo.on_device.pool import GroupArrays
from vasa_jax.data_pipeline.prepare.pool import run_jobs
from vasa_jax.data_pipeline.synthetic.plan import Plan, SwapJob, check_plan, swap_jobs
from vasa_jax.errors import UserError

FAILURES = 3
"""Consecutive failed jobs that end the rendering with an error."""


def plans_of(scale: Scale, seed: int, assets: Path | None) -> tuple[Plan, Plan]:
    """Plans of the training groups and of the held-out ones. assets: MakeHuman's."""
    plans = []
    for held, groups in ((0, scale.groups), (1, scale.held)):
        people = max(4, 4 * groups)
        plans.append(
            Plan(
                seed + held,
                people,
                people / 30,
                scale.picture,
                assets=assets,
                swaps=groups,
                places=True,
                val_share=0.0,
                test_share=0.0,
                any_faces=True,
            )
        )
        check_plan(plans[-1])
    return plans[0], plans[1]


class Job(NamedTuple):
    """held: whether its people are held out."""

    held: bool
    swap: SwapJob


class Made(NamedTuple):
    """rows: one group, without the axis of groups, numpy."""

    held: bool
    rows: GroupArrays


def draw(job: Job, plans: tuple[Plan, Plan], swaps: int, tries: int) -> Made:
    """A job's group as arrays. plans: training, held out. swaps, tries: as in `rows_of`."""
    from recipes.demo.on_device.filling import rows_of
    from vasa_jax.data_pipeline.synthetic.swapping import make_group

    plan = plans[job.held]
    rng = np.random.default_rng((plan.seed, 7, job.swap.number))
    group = make_group(job.swap, plan)
    return Made(job.held, rows_of(group, job.swap.people, swaps, rng, tries))


class Drawing:
    """Processes that render the held-out groups, then training groups, until `close`.

    ready: finished groups. `take` raises the error of jobs that fail one after another.
    """

    def __init__(self, plans: tuple[Plan, Plan], swaps: int, tries: int, workers: int):
        self.ready: queue.Queue[Made | Exception] = queue.Queue()
        self._end = threading.Event()
        self._outcomes = run_jobs(draw, self._jobs(plans), workers, (plans, swaps, tries))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _jobs(self, plans: tuple[Plan, Plan]) -> Iterator[Job]:
        for held in (True, False):
            for swap in swap_jobs(plans[held]):
                if self._end.is_set():
                    return
                yield Job(held, swap)

    def _run(self) -> None:
        failed = 0
        for outcome in self._outcomes:
            if self._end.is_set():
                break
            failed = 0 if outcome.error is None else failed + 1
            if outcome.error is None:
                self.ready.put(outcome.value)
            elif failed == FAILURES:
                self.ready.put(outcome.error)
                break
        self._outcomes.close()

    def take(self, most: int) -> list[Made]:
        """Up to `most` finished groups, without waiting."""
        found: list[Made] = []
        while len(found) < most and not self.ready.empty():
            made = self.ready.get()
            if isinstance(made, Exception):
                raise UserError(f"no head can be drawn ({made}); see docs/accelerator.md")
            found.append(made)
        return found

    def close(self) -> None:
        """End the processes."""
        self._end.set()
        self._thread.join(timeout=30)
