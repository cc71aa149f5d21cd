"""Transfers between heads against exact renders, and how well pose and dynamics are kept apart."""

from collections.abc import Callable, Iterable

import numpy as np

from vasa_jax.evaluation.angles import angle_between, pose_error, turn
from vasa_jax.evaluation.image import response_gain
from vasa_jax.evaluation.reenactment import add_pictures, add_readings
from vasa_jax.evaluation.response import dyn_change
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.structs import (
    Gallery,
    Instruments,
    Model,
    Settings,
    Swaps,
    Viewed,
)
from vasa_jax.evaluation.use import add_identity, decode, encode_motion, to_size
from vasa_jax.typing import POSE_DIM, Float, Frames

Place = tuple[int, int, int]
"""Identity, pose and dynamics of a picture in its group."""


def draw_pairs(
    counts: Place, sources: int, drivers: int, rng: np.random.Generator
) -> list[tuple[Place, list[Place]]]:
    """Sources with their drivers, which differ from them in identity, pose and dynamics."""
    found = []
    for flat in rng.permutation(np.prod(counts))[:sources]:
        source = tuple(int(n) for n in np.unravel_index(flat, counts))
        others = [
            p for p in np.ndindex(*counts) if all(x != y for x, y in zip(p, source, strict=True))
        ]
        picked = rng.permutation(len(others))[:drivers]
        found.append((source, [others[n] for n in sorted(picked)]))
    return found


def measure_swaps(
    model: Model,
    groups: Iterable[Swaps],
    instruments: Instruments,
    settings: Settings,
    samples: Samples,
    gallery: Gallery,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Adds `swap.*` (full transfer), `pose_only.*`, `dyn_only.*` and `exact.*`.

    The share of the other factor: on a transfer of the pose alone, how much the expression changes
    against our own picture of the source's motion, over its change on a full transfer; likewise the
    head's turn on a transfer of the dynamics alone. Once by the reader, once (`_own`) by the
    model's encoders; in both cases less what the same instrument sees on the exact pictures, where
    nothing changes. `exact.*`: that, as a share: what the instrument mixes up. Groups are the
    driven people.
    """
    rng = np.random.default_rng((settings.seed, 1))
    size = model.config.face.image_size
    for group in groups:
        counts = group.images.shape[:3]
        for source, drivers in draw_pairs(counts, settings.sources, settings.drivers, rng):
            one = _Transfer(model, group, source, drivers, size)
            _measure(one, model, instruments, samples)
            # One row a source: a sheet of eight should show eight of them.
            row = one.source[0], one.drivers[0], one.full[0], one.exact_full[0]
            gallery.keep(gallery.swaps, row)
        advance(1)


class _Transfer:
    """The pictures of one source and its n drivers: ours and the exact ones."""

    def __init__(self, model: Model, group: Swaps, source: Place, drivers: list, size: int):
        a, p, d = source

        def at(*places: Place) -> Frames:
            return to_size(np.stack([group.images[place] for place in places]), size)

        self.who = group.identities[a]
        self.source = at(source)
        self.drivers = at(*drivers)
        self.exact_full = at(*((a, q, e) for _, q, e in drivers))
        self.exact_pose = at(*((a, q, d) for _, q, _ in drivers))
        self.exact_dyn = at(*((a, p, e) for _, _, e in drivers))
        motion = encode_motion(model, np.concatenate([self.source, self.drivers]))
        own, others = np.repeat(motion[:1], len(drivers), 0), motion[1:]
        pose = np.concatenate([others[:, :POSE_DIM], own[:, POSE_DIM:]], 1)
        dyn = np.concatenate([own[:, :POSE_DIM], others[:, POSE_DIM:]], 1)
        made = decode(model, self.source[0], np.concatenate([motion[:1], others, pose, dyn]))
        n = len(drivers)
        self.stay, self.full = made[:1], made[1 : 1 + n]
        self.pose, self.dyn = made[1 + n : 1 + 2 * n], made[1 + 2 * n :]


def _measure(one: _Transfer, model: Model, instruments: Instruments, samples: Samples) -> None:
    who = one.who
    add_pictures(samples, "swap", who, instruments, one.full, one.exact_full)
    add_pictures(samples, "pose_only", who, instruments, one.pose, one.exact_pose)
    add_pictures(samples, "dyn_only", who, instruments, one.dyn, one.exact_dyn)
    still = np.repeat(one.source, len(one.dyn), 0)
    if instruments.lpips is not None:
        samples.add("dyn_only.lpips_of_copy", who, instruments.lpips(still, one.exact_dyn))
    for name, ours, exact in (
        ("pose_only", one.pose, one.exact_pose),
        ("dyn_only", one.dyn, one.exact_dyn),
    ):
        changes = (_float(ours) - _float(one.stay), _float(exact) - _float(one.source))
        samples.add(f"{name}.gain", who, response_gain(*changes))
    own_std = model.stats.std[POSE_DIM:]
    ours = (one.stay, one.full, one.pose, one.dyn)
    exact = (one.source, one.exact_full, one.exact_pose, one.exact_dyn)
    read, read_exact = ([instruments.reader(p, False) for p in v] for v in (ours, exact))
    code, code_exact = ([encode_motion(model, p) for p in v] for v in (ours, exact))
    for suffix, std, mine, true in (
        (
            "",
            np.ones(read[0].expression.shape[-1]),
            *([(r.rotation, r.expression) for r in v] for v in (read, read_exact)),
        ),
        ("_own", own_std, *([(c[:, :3], c[:, POSE_DIM:]) for c in v] for v in (code, code_exact))),
    ):
        _add_shares(samples, suffix, who, mine, true, std)
    add_readings(samples, "swap", who, read[1], read_exact[1])
    full, source = Viewed(one.full, read[1]), Viewed(one.source, read_exact[0])
    drivers = Viewed(one.drivers, instruments.reader(one.drivers, False))
    add_identity(samples, "swap", who, instruments, full, source, drivers)
    samples.add("swap.pose_error_own", who, pose_error(code[1][:, :3], code_exact[1][:, :3]))


Views = list[tuple[Float[np.ndarray, "_ 3"], Float[np.ndarray, "_ k"]]]
"""Rotations and expressions of the source's own motion (one row), and of the full, the pose-only
and the dynamics-only transfer."""


def _add_shares(
    samples: Samples,
    suffix: str,
    who: str,
    ours: Views,
    exact: Views,
    std: Float[np.ndarray, " k"],
) -> None:
    """The other factor's change on a partial transfer, of its change on a full one.

    An instrument that takes a turned head for another expression shows it on the exact pictures,
    too: what it sees there, where nothing has changed, is taken off the change of ours.
    """
    looks = [[look for _, look in view] for view in (ours, exact)]
    heads = [[head for head, _ in view] for view in (ours, exact)]
    (stay, full, pose, _), (source, exact_full, exact_pose, _) = looks
    seen = exact_pose - source
    none = np.zeros_like(seen)
    key = f"pose_only.expression_share{suffix}"
    parts = dyn_change(pose - stay, seen, std), dyn_change(full - stay, seen, std)
    samples.add_ratio(key, who, *parts)
    parts = dyn_change(seen, none, std), dyn_change(exact_full - source, none, std)
    samples.add_ratio(f"exact.{key}", who, *parts)
    (stay, full, _, dyn), (source, exact_full, _, exact_dyn) = heads
    turned = turn(exact_dyn, source)
    key = f"dyn_only.pose_share{suffix}"
    parts = angle_between(turn(dyn, stay), turned), angle_between(turn(full, stay), turned)
    samples.add_ratio(key, who, *parts)
    still = np.broadcast_to(np.eye(3), turned.shape)
    parts = angle_between(turned, still), angle_between(turn(exact_full, source), still)
    samples.add_ratio(f"exact.{key}", who, *parts)


def _float(frames: Frames) -> Float[np.ndarray, "t h w 3"]:
    return frames.astype(np.float32) / 255
