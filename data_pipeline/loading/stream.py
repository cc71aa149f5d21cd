"""The endless stream of batches, by grain: worker processes, prefetch, saved place."""

import json
from typing import Any

from vasa_jax.data_pipeline.loading.transforms import Example, ExampleTransform
from vasa_jax.signals import leave_signals_to_parent

BLOCKS = 2**40
"""The length of the stream: more than any run reads."""
SMALL = 2**16
"""Arrays of fewer bytes are pickled rather than put into shared memory."""
AHEAD = 2
"""Batches that each worker prefetches."""


def _begin_worker(worker: int, workers: int) -> None:
    """One OpenCV thread a process. Signals that Slurm or a terminal sends to the whole job are left
    to the parent, which needs batches until it has saved."""
    import cv2

    del worker, workers
    cv2.setNumThreads(1)
    leave_signals_to_parent()


class _Batches:
    """A grain FlatMap from blocks to batches. Not a subclass of grain's, which is imported late and
    could not be pickled then."""

    def flat_map(self, block: list[list[Example]]) -> list[list[Example]]:
        return block


def _parse_no_flags() -> None:
    """grain reads absl's flags, which raise until they are parsed."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


class Stream:
    """An iterator of dicts of arrays in memory that workers share: copy them before the next.

    With workers > 0, process k % workers reads block k, and their batches take turns; with 0 this
    process reads when asked. A place holds for a stream of the same transform and workers.
    """

    def __init__(self, transform: ExampleTransform, workers: int):
        self._transform = transform
        self._start(workers)

    def _start(self, workers: int) -> None:
        import grain

        blocks = grain.MapDataset.range(BLOCKS).map(self._transform.read)
        # One thread reads the next block while this one is decoded.
        reading = grain.ReadOptions(num_threads=min(workers, 1), prefetch_buffer_size=1)
        stream = grain.experimental.FlatMapIterDataset(
            blocks.to_iter_dataset(reading), _Batches()
        ).map(self._transform.make)
        if workers:
            _parse_no_flags()
            options = grain.experimental.DatasetOptions(min_shm_size=SMALL)
            stream = grain.experimental.WithOptionsIterDataset(stream, options)
            stream = stream.mp_prefetch(
                grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=AHEAD),
                worker_init_fn=_begin_worker,
            )
        self._workers, self._iterator = workers, iter(stream)

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> dict[str, Any]:
        return next(self._iterator)

    def state(self) -> dict[str, Any]:
        """The place of the next batch."""
        # grain's own state is made of dicts, lists and numbers, though not always Python's.
        place = json.loads(json.dumps(self._iterator.get_state(), default=lambda x: x.item()))
        return {"workers": self._workers, "place": place}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a place."""
        self.close()
        self._start(int(state["workers"]))
        self._iterator.set_state(state["place"])

    def close(self) -> None:
        """End the worker processes."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
