"""The order in which a host visits its records, and who is beside whom in a batch.

All of it is a function of seed and block, so a place in the stream is one number, the same for
every host and any number of them.
"""

from collections.abc import Sequence

import numpy as np

from vasa_jax.typing import Int


class RecordOrder:
    """Endless: epochs follow each other without a gap, each shuffled anew.

    A block is the next `batch * spread` records, of whichever epochs. Each is read once and gives
    `draws` examples, at most one of them in a batch; a block gives `spread * draws` batches. A
    record's examples are all in one row of their batches, and a host makes some rows of every
    batch: who reads what depends on the number of hosts, the batches do not.

    people: a number for the person of each record. batch: the global batch size. rows: those that
    this host makes (default: all).
    """

    def __init__(
        self,
        people: Sequence[int],
        batch: int,
        seed: int,
        rows: range | None = None,
        *,
        draws: int = 4,
        spread: int = 4,
    ):
        self._people = np.asarray(people)
        self._batch, self._seed = batch, seed
        self._rows = range(batch) if rows is None else rows
        self._draws, self._spread = draws, spread
        self.visits = batch * spread
        self._epochs: dict[int, np.ndarray] = {}

    def records(self, block: int) -> Int[np.ndarray, " v"]:
        """The records that a block visits, in order."""
        count = len(self._people)
        places = block * self.visits + np.arange(self.visits)
        return np.array([self._epoch(int(p) // count)[int(p) % count] for p in places])

    def _epoch(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            while len(self._epochs) > 2:
                del self._epochs[next(iter(self._epochs))]
            rng = np.random.default_rng((self._seed, 0, epoch))
            self._epochs[epoch] = rng.permutation(len(self._people))
        return self._epochs[epoch]

    def batches(self, block: int) -> list[list[tuple[int, int]]]:
        """This host's rows of the batches of a block: (visit, draw) of each example. Partners (half
        a global batch apart) are of different people wherever there are enough."""
        people = self._people[self.records(block)]
        rng = np.random.default_rng((self._seed, 1, block))
        order = rng.permutation(self.visits)
        # A row's visits stand together, so partner rows lie half of the cycle apart.
        lanes = order[separate_identities(people[order])].reshape(self._batch, self._spread)
        found = []
        for draw in range(self._draws):
            shuffled = min(
                (rng.permuted(lanes, axis=1) for _ in range(_TRIES)),
                key=lambda visits: _same_person(people[visits]),
            )
            for column in shuffled.T:
                found.append([(int(column[row]), draw) for row in self._rows])
        return found

    def rng(self, block: int, visit: int, draw: int) -> np.random.Generator:
        """The random generator of one example."""
        return np.random.default_rng((self._seed, 2, block, visit, draw))


_TRIES = 8
"""Shufflings of a block, of which the one with the fewest partners of one person is taken."""


def _same_person(people: Int[np.ndarray, "b spread"]) -> int:
    """How many examples have a partner of the same person; columns are batches."""
    return int((people == np.roll(people, len(people) // 2, axis=0)).sum())


def separate_identities(people: Int[np.ndarray, " b"]) -> Int[np.ndarray, " b"]:
    """An order in which nobody is half a batch from themselves, cyclically
    (`face.forward.partner`), or as few as can be where one person is more than half of the batch.
    The sort is stable."""
    _, first, codes, counts = np.unique(
        people, return_index=True, return_inverse=True, return_counts=True
    )
    # Each person in one run: a run of at most half of the cycle never meets itself.
    return np.lexsort((np.arange(len(people)), first[codes], -counts[codes]))
