"""Which records a host reads when, and who stands next to whom in a batch.

Everything follows from seed, host and number alone, so a place in the stream is one number.
"""

from collections.abc import Sequence

import numpy as np

from vasa_jax.typing import Int


class RecordOrder:
    """The endless order in which a host visits its records, in blocks.

    Epochs follow each other without a gap, each shuffled anew; a block is the next `batch * spread`
    records, whichever epoch they belong to. A record is read once in a block and gives `draws`
    examples; a block gives `spread * draws` batches, and within one batch each of its visits gives
    one example at most.

    people: of each record of this host; one number each.
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
        """The generator of one example."""
        return np.random.default_rng((*self._key, 2, block, visit, draw))


def separate_identities(people: Int[np.ndarray, " b"]) -> Int[np.ndarray, " b"]:
    """An order in which no one is half a batch from himself, in a ring (`face.forward.partner`); as
    good as can be where one person is more than half of the batch. What comes first among equals
    stays first."""
    _, first, codes, counts = np.unique(
        people, return_index=True, return_inverse=True, return_counts=True
    )
    # Everyone side by side: whoever fills no more than half of the ring never meets himself.
    return np.lexsort((np.arange(len(people)), first[codes], -counts[codes]))
