"""The order in which a host visits its records, and who is beside whom in a batch.

All of it is a function of seed, host and block, so a place in the stream is one number.
"""

from collections.abc import Sequence

import numpy as np

from vasa_jax.typing import Int


class RecordOrder:
    """Endless: epochs follow each other without a gap, each shuffled anew.

    A block is the next `batch * spread` records, of whichever epochs. Each is read once and gives
    `draws` examples, at most one of them in a batch; a block gives `spread * draws` batches.

    people: a number for the person of each record of this host.
    """

    def __init__(
        self,
        people: Sequence[int],
        batch: int,
        seed: int,
        host: int,
        *,
        draws: int = 4,
        spread: int = 4,
    ):
        self._people = np.asarray(people)
        self._batch, self._key = batch, (seed, host)
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
            rng = np.random.default_rng((*self._key, 0, epoch))
            self._epochs[epoch] = rng.permutation(len(self._people))
        return self._epochs[epoch]

    def batches(self, block: int) -> list[list[tuple[int, int]]]:
        """The batches of a block: (visit, draw) of each example, partners (half a batch apart) of
        different people wherever there are enough."""
        people = self._people[self.records(block)]
        rng = np.random.default_rng((*self._key, 1, block))
        found = []
        for draw in range(self._draws):
            order = rng.permutation(self.visits)
            for start in range(0, self.visits, self._batch):
                chosen = order[start : start + self._batch]
                chosen = chosen[separate_identities(people[chosen])]
                found.append([(int(visit), draw) for visit in chosen])
        return found

    def rng(self, block: int, visit: int, draw: int) -> np.random.Generator:
        """The random generator of one example."""
        return np.random.default_rng((*self._key, 2, block, visit, draw))


def separate_identities(people: Int[np.ndarray, " b"]) -> Int[np.ndarray, " b"]:
    """An order in which nobody is half a batch from themselves, cyclically
    (`face.forward.partner`), or as few as can be where one person is more than half of the batch.
    The sort is stable."""
    _, first, codes, counts = np.unique(
        people, return_index=True, return_inverse=True, return_counts=True
    )
    # Each person in one run: a run of at most half of the cycle never meets itself.
    return np.lexsort((np.arange(len(people)), first[codes], -counts[codes]))
