"""Prefetching: batches are made and placed on the devices while a step runs."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from vasa_jax.training.trainer import CheckpointableIterator

PATIENCE = 10.0
"""Seconds that `close` waits for a batch that is being made."""


class _Ready(NamedTuple):
    """A placed batch and the iterator's place after it; or what was raised instead."""

    batch: Any = None
    place: Any = None
    error: BaseException | None = None


class Prefetcher:
    """Batches of an iterator, placed on the devices ahead, with the iterator's place after each.

    data: an iterator of batches. place(batch): puts it on the devices. ahead: batches that a thread
    makes and places before they are asked for; 0: none, everything happens in `next`. The default
    is the iterator's attribute `ahead`, or 0: an iterator must allow to be read in a thread.
    A context manager; `data` may be further on than the last batch afterwards.
    """

    def __init__(self, data: Iterator[Any], place: Callable[[Any], Any], ahead: int | None = None):
        self._data, self._place = data, place
        self._saved: Any = None
        self._ended: _Ready | None = None
        ahead = getattr(data, "ahead", 0) if ahead is None else ahead
        self._thread = None
        if ahead:
            # The thread holds one more.
            self._queue: queue.Queue[_Ready] = queue.Queue(maxsize=max(1, ahead - 1))
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._run, name="vasa-jax-feed", daemon=True)

    def __enter__(self) -> "Prefetcher":
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._thread is None:
            return
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()  # it may wait for room
            except queue.Empty:
                break
        self._thread.join(PATIENCE)

    def __next__(self) -> Any:
        if self._thread is None:
            ready = self._take()
        elif self._ended is not None:  # the thread has gone
            ready = self._ended
        else:
            ready = self._queue.get()
        if ready.error is not None:
            self._ended = ready
            raise ready.error
        self._saved = ready.place
        return ready.batch

    def state(self) -> Any:
        """The iterator's place after the last batch that was given; None where it has no places."""
        if self._thread is None and isinstance(self._data, CheckpointableIterator):
            return self._data.state()
        return self._saved

    def _take(self) -> _Ready:
        try:
            batch = next(self._data)
            place = self._data.state() if isinstance(self._data, CheckpointableIterator) else None
            return _Ready(self._place(batch), place)
        except BaseException as error:
            return _Ready(error=error)

    def _run(self) -> None:
        while not self._stop.is_set():
            ready = self._take()
            while not self._stop.is_set():
                try:
                    self._queue.put(ready, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if ready.error is not None:
                return
