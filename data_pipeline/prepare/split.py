"""Train, val and test by the hash of a person's identity."""

import hashlib
from collections.abc import Iterable

from vasa_jax.errors import UserError

SPLITS = ("train", "val", "test")


def split_of(identities: Iterable[str], val: float, test: float) -> dict[str, str]:
    """The split of each identity. val, test: shares of the people, 0..1.

    A person's place depends on the name alone, so further people move nobody; the one exception is
    that where all would be held out, the last in order trains. Raises UserError for bad shares.
    """
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise UserError("--val-share and --test-share must be 0 or more, and less than 1 together")
    place = {name: _place(name) for name in identities}
    splits = {}
    for name, x in place.items():
        splits[name] = "test" if x < test else "val" if x < test + val else "train"
    if place and "train" not in splits.values():
        splits[max(place, key=place.__getitem__)] = "train"
    return splits


def _place(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
