"""Signals: SIGTERM, SIGHUP and Ctrl-C end a command cleanly, with exit code 128 + signal.

Slurm, Docker, systemd and timeout ask a job to end by SIGTERM, a terminal that closes by SIGHUP.
All but the last kill what is still there some seconds later.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from vasa_jax.errors import UserError, explain_missing
from vasa_jax.media.files import remove_pending

__all__ = ["Ended", "end_cleanly", "exit_with", "leave_signals_to_parent"]

SIGNALS = {
    number: signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    for name in ("SIGTERM", "SIGHUP", "SIGINT")
    if (number := getattr(signal, name, None)) is not None  # Windows has no SIGHUP
}
"""Numbers, and the handlers that are replaced: any other was set by somebody for a reason."""
GRACE = 3.0
"""Seconds that a call into a library may take before a signal is obeyed without the main thread."""
UNWINDING = 4.0
"""Seconds for the main thread to clean up. With `GRACE`, and one for worker processes, less than
the 10 that Docker grants."""


class Ended(BaseException):
    """The process was asked to end by the signal `number`; no `except Exception` holds it up."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What shells call the status of a process that a signal ended."""
        return 128 + self.number


@contextlib.contextmanager
def end_cleanly() -> Iterator[None]:
    """Within the block the first signal of `SIGNALS` raises in the main thread: `Ended`, and
    KeyboardInterrupt of Ctrl-C. Later ones do nothing.

    Python runs handlers between two steps of the main thread alone, which may be compiling or
    decoding for minutes. Where it does not answer within `GRACE`, or not end within `UNWINDING`,
    another thread removes pending files, ends worker processes and exits. Signals that are ignored
    (nohup) or have another handler stay as they are; code in the block may set its own handlers,
    as training does to save, and they rule. Outside of the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch()
    before = {
        number: signal.signal(number, watch.handle)
        for number, default in SIGNALS.items()
        if signal.getsignal(number) is default
    }
    watch.start()
    try:
        yield
    except (Ended, KeyboardInterrupt):
        remove_pending()  # what a signal between two statements has left
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        watch.stop()


def exit_with(main: Callable[[], int]) -> NoReturn:
    """End this process with main's exit status; a UserError becomes one line and status 2, and a
    signal that ends the process 128 and its number."""
    try:
        with end_cleanly():
            status = main()
        raise SystemExit(status)
    except Ended as ended:
        raise SystemExit(ended.exit_code) from None
    except UserError as error:
        shown = error
    except ModuleNotFoundError as error:
        explained = explain_missing(error)
        if explained is None:
            raise
        shown = explained
    print(f"error: {shown}", file=sys.stderr)
    raise SystemExit(2)


def leave_signals_to_parent() -> None:
    """In a worker process: end by a signal of `SIGNALS` only when the parent is gone."""
    parent = os.getppid()

    def handle(number: int, _) -> None:
        if os.getppid() != parent:
            os._exit(128 + number)

    for number in SIGNALS:
        signal.signal(number, handle)


class _Watch:
    """The thread that receives signals at once, whatever the main thread does."""

    def __init__(self):
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._answered, self._ended = threading.Event(), threading.Event()
        self._process = os.getpid()

    def start(self) -> None:
        self._before = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._run, daemon=True, name="signals").start()
        _active.append(self)

    def stop(self) -> None:
        if self in _active:
            _active.remove(self)
        signal.set_wakeup_fd(self._before)
        self._ended.set()
        self._theirs.close()

    def handle(self, number: int, _) -> None:
        """The handler, in the main thread."""
        if not self._answered.is_set():  # a second signal must not stop the cleaning up
            self._answered.set()
            raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)

    def _run(self) -> None:
        with self._ours:
            while heard := self._ours.recv(1):  # the number of a signal
                if heard[0] in SIGNALS and signal.getsignal(heard[0]) == self.handle:
                    self._answered.wait(GRACE)
                    if not (self._answered.is_set() and self._ended.wait(UNWINDING)):
                        self._exit(heard[0])

    def _exit(self, number: int) -> None:
        remove_pending()
        children = multiprocessing.active_children()
        for child in children:
            child.terminate()
        end = time.monotonic() + 1
        for child in children:
            child.join(max(0, end - time.monotonic()))
            child.kill()  # those that leave signals to us, or are busy themselves
        with contextlib.suppress(OSError):
            os.write(2, f"vasa-jax: ended by {signal.Signals(number).name}\n".encode())
        os._exit(128 + number)


_active: list[_Watch] = []


def _forget_in_child() -> None:
    """A forked process has no such thread, and must not write into its parent's socket."""
    while _active:
        _active.pop()
        signal.set_wakeup_fd(-1)
        for number, default in SIGNALS.items():
            signal.signal(number, default)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
