"""The training loop of both stages."""

import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.params import check_against, flatten
from vasa_jax.training.checkpoint import Checkpoints
from vasa_jax.training.compiling import compiling, guess_of
from vasa_jax.training.hosts import wait_for_all
from vasa_jax.training.logs import Logs
from vasa_jax.training.mesh import Layout, make_mesh
from vasa_jax.training.prefetch import Prefetcher
from vasa_jax.training.program import build_program, init_state, put_batch
from vasa_jax.training.progress import Progress, Quiet, peak_flops, program_flops
from vasa_jax.training.trainer import CheckpointableIterator, Trainer


class Result(NamedTuple):
    """How a run ended: the last step, whether it reached its goal, its state, and the signal that
    ended it, if one did (0: none)."""

    step: int
    finished: bool
    state: Any
    signal: int = 0


class _Pending(NamedTuple):
    """A step that was dispatched but not looked at."""

    step: int
    metrics: dict
    finite: Any


_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


class _Interrupt:
    """Turns SIGTERM, SIGINT and SIGHUP into a number, so that a step is never torn; a second signal
    acts as it would have before, and one that is ignored (nohup) stays so."""

    def __init__(self):
        self.seen = 0
        self._before = {}

    def __enter__(self):
        # A distributed job hears of preemption through its coordinator, on all hosts at one step.
        if threading.current_thread() is threading.main_thread() and jax.process_count() == 1:
            for number in (getattr(signal, name, None) for name in _SIGNALS):
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number, frame):
        del frame
        self.seen = number
        signal.signal(number, self._before.pop(number))

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def train(
    trainer: Trainer,
    workdir: Path,
    data: Iterator[Any],
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    devices: Any = None,
    initial: Any = None,
    restart_data: bool = False,
) -> Result:
    """Train a stage until step `steps` (default: its config's), from its newest checkpoint if any.

    data: this host's batches. If it has `state()` and `restore()`, its place is saved and restored,
    and an interrupted run sees the same batches as one that was never interrupted; with an
    attribute `any_hosts` that is true, on another number of hosts, too.
    devices: of the mesh, default all. initial: parameters to start a new run from, or a function
    that makes them of fresh ones. restart_data: leave the saved place in the data alone.

    Raises UserError for data, checkpoints or meshes that do not fit, when data ends too early, and
    when a loss or a norm is not finite: then with its step and name, before it could be saved.
    """
    progress = progress or Quiet()
    total = trainer.train.steps if steps is None else steps
    workdir = _folder(workdir)
    layout = Layout(make_mesh(trainer.config.mesh, devices), trainer.config.mesh.fsdp_floor)
    program = build_program(trainer, layout)
    checkpoints = Checkpoints(workdir / "checkpoints", trainer.train.keep)
    lead = jax.process_index() == 0
    try:
        state, start = _begin(trainer, program, checkpoints, data, progress, initial, restart_data)
        if start >= total:
            progress.note(f"{workdir}: is at step {start} already")
            return Result(start, True, state)
        frozen = jax.device_put(trainer.frozen, program.frozen)
        logs = Logs(workdir, start, progress.note) if lead else None
        try:
            run = _Run(trainer, layout, program, checkpoints, logs, progress, total)
            return run(state, frozen, data, start)
        finally:
            if logs is not None:
                logs.close()
    finally:
        checkpoints.close()
        progress.close()


def _folder(workdir):
    workdir = Path(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{workdir}: cannot be used as --workdir ({error})") from None
    return workdir


def _begin(trainer, program, checkpoints, data, progress, initial, restart_data):
    restored = checkpoints.restore(
        program.abstract_state,
        trainer.config,
        trainer.name,
        iterator=not restart_data,
        any_hosts=getattr(data, "any_hosts", False),
    )
    if restored is None:
        with compiling(progress, "what draws the parameters"):
            state = init_state(trainer, program)
        if callable(initial):
            initial = initial(jax.device_get(state.params))
        if initial is not None:
            check_against(flatten(initial), flatten(state.params), "initial parameters")
            params = jax.device_put(initial, program.state.params)
            # Copied, since a donated state must not hold one buffer twice.
            state = state._replace(params=params, ema=jax.tree.map(jnp.copy, params))
        return state, 0
    if isinstance(data, CheckpointableIterator) and restored.iterator is not None:
        data.restore(restored.iterator)
    else:
        why = "as asked" if restart_data else "it has no saved place"
        progress.note(f"the data starts from its beginning again ({why})")
    progress.note(f"resumed from step {restored.step}")
    return restored.state, restored.step


class _Run:
    """The loop itself: dispatch a step, then look at the one before, which the devices have left
    behind; they never wait for the host to look."""

    def __init__(self, trainer, layout, program, checkpoints, logs, progress, total):
        self.trainer, self.layout, self.program = trainer, layout, program
        self.checkpoints, self.logs, self.progress, self.total = checkpoints, logs, progress, total
        self.clock, self.clock_step = time.perf_counter(), 0
        self.waited, self.flops = 0.0, None
        self.sampler: Any = None  # compiled when it is first asked

    def __call__(self, state, frozen, data, start):
        trainer, every = self.trainer, self.trainer.train
        compiled, pending, step = None, None, start
        feed = Prefetcher(data, partial(put_batch, trainer, self.program))
        with feed, _Interrupt() as interrupt:
            while step < self.total and not interrupt.seen:
                batch = self._next(feed, step)
                if compiled is None:
                    compiled = self._compile(state, frozen, batch)
                    self.flops = program_flops(compiled, every.accumulate)
                    self.clock, self.clock_step, self.waited = time.perf_counter(), step, 0.0
                state, metrics, finite = compiled(state, frozen, batch)
                step += 1
                self._look(pending)
                pending = _Pending(step, metrics, finite)
                if jax.process_count() > 1 and self.checkpoints.preempted(step):
                    interrupt.seen = signal.SIGTERM
                last = step == self.total or bool(interrupt.seen)
                if last or step % every.save_every == 0:
                    # Never save what is broken: this step is looked at before it is saved.
                    self._look(pending)
                    pending = None
                    self._save(step, state, feed)
                if last or step % every.sample_every == 0:
                    self._sample(step, state, frozen, batch)
            if pending is not None:  # a signal between steps
                self._look(pending)
                self._save(step, state, feed)
        return Result(step, step >= self.total, state, int(interrupt.seen))

    def _compile(self, state, frozen, batch):
        traced = self.program.jitted.trace(state, frozen, batch)
        what = f"the training step of stage {self.trainer.name!r}"
        with compiling(self.progress, what, guess_of(traced.jaxpr)):
            compiled = traced.lower().compile()
        # The first collective would not wait for a process that still compiles.
        wait_for_all("compiled")
        return compiled

    def _next(self, feed, step):
        began = time.perf_counter()
        try:
            return next(feed)
        except StopIteration:
            raise UserError(
                f"the data ended at step {step} of {self.total}; give an iterator that "
                "repeats, or fewer steps"
            ) from None
        finally:
            self.waited += time.perf_counter() - began

    def _save(self, step, state, feed):
        self.checkpoints.save(step, state, feed.state(), self.trainer.config, self.trainer.name)

    def _sample(self, step, state, frozen, batch):
        if self.sampler is None:
            draw = partial(self.trainer.samples, self.layout)
            jitted = jax.jit(draw, out_shardings=self.layout.replicated())
            with compiling(self.progress, "what draws the samples"):
                self.sampler = jitted.lower(state.ema, frozen, batch).compile()
            wait_for_all("samples")
        images = self.sampler(state.ema, frozen, batch)
        if images and self.logs is not None:
            self.logs.samples(step, jax.device_get(images))

    def _look(self, pending):
        if pending is None:
            return
        finite = np.asarray(pending.finite)
        if not finite.all():
            names = [n for n, ok in zip(sorted(pending.metrics), finite, strict=True) if not ok]
            raise UserError(
                f"step {pending.step}: {_culprit(names)} is not finite (in all: "
                f"{', '.join(names)}); nothing broken was saved, so resume with a "
                f"lower train_{self.trainer.name}.learning_rate or a clip, or look at the "
                "data"
            )
        if pending.step % self.trainer.train.log_every == 0 or pending.step == self.total:
            values = {k: float(v) for k, v in jax.device_get(pending.metrics).items()}
            values |= self._speed(pending.step)
            self.progress.step(pending.step, self.total, values)
            if self.logs is not None:
                self.logs.scalars(pending.step, values)

    def _speed(self, step):
        now = time.perf_counter()
        passed = max(now - self.clock, 1e-9)
        rate, waited = (step - self.clock_step) / passed, self.waited / passed
        self.clock, self.clock_step, self.waited = now, step, 0.0
        values = {"it/s": rate, "images/s": rate * self.trainer.train.batch, "data_wait": waited}
        device = self.layout.mesh.devices.flat[0]
        peak = peak_flops(device.device_kind, self.trainer.config.precision)
        if peak and self.flops:
            values["mfu"] = self.flops * rate / peak
        return values


def _culprit(names):
    """What broke first: a part of the loss before their sum, losses before norms."""
    derived = ("loss", "critic_loss", "grad_norm", "critic_grad_norm", "update_norm", "param_norm")
    return min(names, key=lambda n: (derived.index(n) + 1 if n in derived else 0, n))
