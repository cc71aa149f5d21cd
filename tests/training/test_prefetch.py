"""The feed gives the same batches and places with a thread as without, and ends when asked to."""

import threading
import time

import pytest

from tests.training.toys import toy_task
from vasa_jax.training.fake_data import FakeBatches
from vasa_jax.training.loop import train
from vasa_jax.training.prefetch import Prefetcher


class Counting:
    """0, 1, 2, … up to an end; its place is the next number."""

    def __init__(self, end=100, error=StopIteration):
        self.next, self.end, self.error = 0, end, error

    def __iter__(self):
        return self

    def __next__(self):
        if self.next == self.end:
            raise self.error
        self.next += 1
        return self.next - 1

    def state(self):
        return {"next": self.next}

    def restore(self, state):
        self.next = state["next"]


@pytest.mark.parametrize("ahead", [0, 1, 2, 5])
def test_batches_and_places_are_the_same_however_far_ahead(ahead):
    data = Counting()
    with Prefetcher(data, lambda x: x * 10, ahead) as feed:
        for number in range(20):
            assert next(feed) == number * 10
            assert feed.state() == {"next": number + 1}


def test_a_thread_works_ahead_but_no_further_than_told():
    data = Counting()
    with Prefetcher(data, lambda x: x, 2) as feed:
        next(feed)
        deadline = time.monotonic() + 5
        while data.next < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert data.next == 3  # one was taken, two are ready
        assert feed.state() == {"next": 1}
    assert not any(t.name == "vasa-jax-feed" for t in threading.enumerate())


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("error", [StopIteration, RuntimeError("broken")])
def test_ends_and_errors_come_in_their_turn_and_stay(ahead, error):
    kind = error if isinstance(error, type) else type(error)
    with Prefetcher(Counting(3, error), lambda x: x, ahead) as feed:
        assert [next(feed) for _ in range(3)] == [0, 1, 2]
        for _ in range(2):
            with pytest.raises(kind):
                next(feed)
        assert feed.state() == {"next": 3}


def test_an_error_of_placing_is_raised_too():
    def refuse(batch):
        raise ValueError(f"no room for {batch}")

    with (
        Prefetcher(Counting(), refuse, 2) as feed,
        pytest.raises(ValueError, match="no room for 0"),
    ):
        next(feed)


class Ahead(FakeBatches):
    ahead = 2


def test_training_with_a_thread_is_training_without(tmp_path):
    """Interrupted in between, so that the saved place must be that of the last batch used."""
    import jax
    import numpy as np

    task = toy_task({"save_every": 2})
    plain = train(task, tmp_path / "a", FakeBatches(task.batch), steps=5)
    train(task, tmp_path / "b", Ahead(task.batch), steps=3)
    fed = train(task, tmp_path / "b", Ahead(task.batch), steps=5)
    jax.tree.map(np.testing.assert_array_equal, fed.state.params, plain.state.params)
    assert '"data_wait"' in (tmp_path / "b" / "metrics.jsonl").read_text()
