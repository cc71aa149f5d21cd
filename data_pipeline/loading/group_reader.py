"""Examples of swap groups that lie in memory, in an endless order; decoded by threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.data_pipeline.swaps import SwapGroup, find_groups, read_group
from vasa_jax.errors import UserError
from vasa_jax.typing import PortraitArray


def draw_picture(
    group: SwapGroup, rng: np.random.Generator
) -> tuple[PortraitArray, tuple[int, int, int]]:
    """A random image of a group, and the person, pose and expression that it shows."""
    counts = group.counts()
    i, p, d = (int(rng.integers(n)) for n in counts)
    number = int(np.ravel_multi_index((i, p, d), counts))
    return decode_rgb(group.images[number], group.size), (i, p, d)


class GroupReader:
    """The groups of a folder that this host reads, and a place in an endless order over them.

    An epoch visits every group once, for one example, in an order that depends on seed and epoch;
    the n-th example is the same in every run. Hosts read disjoint groups.

    batch: global. salt: of the random numbers, one for each kind of example. threads: default one
    a core. Raises UserError for a folder without groups, for unreadable ones and for fewer groups
    than hosts.
    """

    ahead = 2  # batches put on the devices before they are needed

    def __init__(self, folder: Path, batch: int, seed: int, salt: int, threads: int | None = None):
        files = find_groups(folder)
        host, hosts = jax.process_index(), jax.process_count()
        if len(files) < hosts or batch % hosts:
            raise UserError(
                f"{folder}: {len(files)} groups and a batch of {batch} cannot be "
                f"shared by {hosts} hosts"
            )
        self._batch, self._seed, self._salt, self._next = batch // hosts, seed, salt, 0
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1 if threads is None else threads)
        self._groups: list[SwapGroup] = list(self._pool.map(read_group, files[host::hosts]))

    def state(self) -> dict[str, Any]:
        """The place of the next batch."""
        return {"next": self._next, "groups": len(self._groups), "seed": self._seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on at a place; raises UserError when the folder holds another number of groups."""
        if (state["groups"], state["seed"]) != (len(self._groups), self._seed):
            raise UserError(
                f"the run was saved with {state['groups']} groups of swaps and seed "
                f"{state['seed']}, now there are {len(self._groups)} and "
                f"{self._seed}; bring them back, or begin the data anew with --restart-data"
            )
        self._next = state["next"]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _take(self, example) -> list:
        """The next batch: `example(group, rng)` of each."""
        numbers = range(self._next, self._next + self._batch)
        rows = list(self._pool.map(lambda number: example(*self._at(number)), numbers))
        self._next += self._batch
        return rows

    def _at(self, number: int) -> tuple[SwapGroup, np.random.Generator]:
        epoch, place = divmod(number, len(self._groups))
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._groups))
        rng = np.random.default_rng((self._seed, epoch, place, self._salt))
        return self._groups[order[place]], rng
