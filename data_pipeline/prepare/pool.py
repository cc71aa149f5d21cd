"""A process pool in which a worker that dies costs its job, not the run."""

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from vasa_jax.signals import GRACE, UNWINDING, Ended, end_cleanly


class Outcome(NamedTuple):
    """The outcome of one job."""

    number: int  # of the job
    value: Any = None  # what the function returned, None where it failed
    error: Exception | None = None  # the exception it raised, or a `WorkerDied`


class WorkerDied(Exception):
    """The process ended in the middle of a job: killed for memory, or crashed in a decoder."""


class _Worker:
    def __init__(self, function: Callable, shared: tuple):
        # Spawned, since JAX and OpenCV run threads that a fork would cut off.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, shared), daemon=True)
        self.process.start()
        theirs.close()
        self.number: int | None = None

    def give(self, number: int, job: Any) -> None:
        self.number = number
        self.pipe.send(job)

    def result(self) -> Outcome:
        """The outcome of the job that was given last, which is then done."""
        number, self.number = self.number, None
        assert number is not None
        try:
            value, error = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            why = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return Outcome(number, error=WorkerDied(f"its process ended ({why})"))
        return Outcome(number, value, error)

    def terminate(self) -> None:
        """Ask the process to end; `stop` waits for it."""
        self.pipe.close()
        self.process.terminate()

    def stop(self) -> None:
        self.terminate()
        self.process.join(GRACE + UNWINDING)
        self.process.kill()
        self.process.join()


def run_jobs(
    function: Callable, jobs: Iterable[Any], workers: int, shared: tuple = ()
) -> Generator[Outcome, None, None]:
    """function(job, *shared) of every job, as they finish.

    workers: processes; 0 runs the jobs here. function, each job, shared and values must be
    picklable, function by its name in a module. A job is taken when it is begun: jobs may be a
    generator that goes by what the caller learnt from earlier outcomes. When the caller stops
    iterating, or Ctrl-C comes, the workers end at once.
    """
    if workers < 1:
        for number, job in enumerate(jobs):
            try:
                yield Outcome(number, function(job, *shared))
            except Exception as error:
                yield Outcome(number, error=error)
        return
    waiting = enumerate(jobs)
    crew: list[_Worker] = []
    try:
        while True:
            while len(crew) < workers and (job := next(waiting, None)) is not None:
                crew.append(_Worker(function, shared))
                crew[-1].give(*job)
            busy = [w for w in crew if w.number is not None]
            if not busy:
                return
            ready = wait([w.pipe for w in busy])
            for worker in [w for w in busy if w.pipe in ready]:
                outcome = worker.result()
                if isinstance(outcome.error, WorkerDied):
                    worker.stop()
                    crew.remove(worker)
                elif (job := next(waiting, None)) is not None:
                    worker.give(*job)
                yield outcome
    finally:
        for worker in crew:
            worker.terminate()  # all at once, since each may take some seconds
        for worker in crew:
            worker.stop()


def _serve(pipe: Connection, function: Callable, shared: tuple) -> None:
    # Ctrl-C reaches every process of a terminal; the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
    try:
        with end_cleanly():  # the parent's way to stop us, too
            _work(pipe, function, shared)
    except Ended as ended:
        raise SystemExit(ended.exit_code) from None


def _work(pipe: Connection, function: Callable, shared: tuple) -> None:
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            value, failure = function(job, *shared), None
        except Exception as error:
            value, failure = None, error
        try:
            pipe.send((value, failure))
        except Exception as error:  # an exception that cannot be pickled
            pipe.send((None, RuntimeError(f"{type(failure or error).__name__}: {error}")))
