"""Disentanglement of head pose and dynamics, on transfers with rendered ground truth.

A source is driven by the full motion of a driver, by its pose alone, and by its dynamics alone;
each transfer is compared with the exact render of the same combination.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from vasa_jax.evaluation.identity_metrics import add_identity
from vasa_jax.evaluation.image_metrics import change_gain
from vasa_jax.evaluation.model_calls import decode, encode_motion, to_size
from vasa_jax.evaluation.pose_metrics import angle_between, pose_error, relative_rotation
from vasa_jax.evaluation.reenactment import add_face_errors, add_pixel_metrics
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.types import (
    AnalyzedFrames,
    Gallery,
    MetricNetworks,
    Model,
    Settings,
    Swaps,
)
from vasa_jax.typing import POSE_DIM, Float, Frames

Index = tuple[int, ...]
"""(identity, pose, dynamics) of an image in its group."""


def draw_pairs(
    counts: Index, sources: int, drivers: int, rng: np.random.Generator
) -> list[tuple[Index, list[Index]]]:
    """Random sources, each with drivers that differ from it in identity, pose and dynamics."""
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
    networks: MetricNetworks,
    settings: Settings,
    samples: Samples,
    gallery: Gallery,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Add `swap.*` (full transfer), `pose_only.*`, `dyn_only.*` and `exact.*`.

    Leakage of one factor into the other (`*_share`): the change of expression in a pose-only
    transfer over that of a full transfer, both against our image of the source's own motion;
    likewise the head's rotation in a dynamics-only transfer. Measured by the networks and, `_own`,
    by the model's encoders. The change that is measured in the exact renders, where that factor is
    constant, is the measurement's own error: it is subtracted, and reported as `exact.*`. Groups of
    the statistics are the driven people.
    """
    rng = np.random.default_rng((settings.seed, 1))
    size = model.config.face.image_size
    for group in groups:
        counts = group.images.shape[:3]
        for source, drivers in draw_pairs(counts, settings.sources, settings.drivers, rng):
            transfer = _Transfer(model, group, source, drivers, size)
            _measure(transfer, model, networks, samples)
            # One row for each source, so that a full sheet shows different sources.
            row = (
                transfer.source[0],
                transfer.drivers[0],
                transfer.full[0],
                transfer.exact_full[0],
            )
            gallery.keep(gallery.swaps, row)
            one, exact = (transfer.pose, transfer.dyn), (transfer.exact_pose, transfer.exact_dyn)
            pairs = [frames[0] for pair in zip(one, exact, strict=True) for frames in pair]
            gallery.keep(gallery.factors, (transfer.source[0], transfer.drivers[0], *pairs))
        advance(1)


def dyn_change(
    a: Float[np.ndarray, "t k"], b: Float[np.ndarray, "t k"], std: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " t"]:
    """Root mean square difference of dynamics codes, each axis in units of its `std`."""
    return np.sqrt(np.square((np.asarray(a, np.float64) - b) / std).mean(-1))


class _Transfer:
    """One source (1 frame) and its n drivers: our images and the exact renders."""

    def __init__(self, model: Model, group: Swaps, source: Index, drivers: list[Index], size: int):
        a, p, d = source

        def render(*indices: Index) -> Frames:
            return to_size(np.stack([group.images[index] for index in indices]), size)

        self.identity = group.identities[a]
        self.source = render(source)
        self.drivers = render(*drivers)
        self.exact_full = render(*((a, q, e) for _, q, e in drivers))
        self.exact_pose = render(*((a, q, d) for _, q, _ in drivers))
        self.exact_dyn = render(*((a, p, e) for _, _, e in drivers))
        motion = encode_motion(model, np.concatenate([self.source, self.drivers]))
        own, others = np.repeat(motion[:1], len(drivers), 0), motion[1:]
        pose = np.concatenate([others[:, :POSE_DIM], own[:, POSE_DIM:]], 1)
        dyn = np.concatenate([own[:, :POSE_DIM], others[:, POSE_DIM:]], 1)
        made = decode(model, self.source[0], np.concatenate([motion[:1], others, pose, dyn]))
        n = len(drivers)
        self.reconstructed, self.full = made[:1], made[1 : 1 + n]
        self.pose, self.dyn = made[1 + n : 1 + 2 * n], made[1 + 2 * n :]


class _HeadAndExpression(NamedTuple):
    rotation: Float[np.ndarray, "_ 3"]
    expression: Float[np.ndarray, "_ k"]


_Measured = list[_HeadAndExpression]
"""Of the source's own motion (one row), and of the full, pose-only and dynamics-only transfers."""


def _measure(transfer: _Transfer, model: Model, networks: MetricNetworks, samples: Samples) -> None:
    t, who = transfer, transfer.identity
    add_pixel_metrics(samples, "swap", who, networks, t.full, t.exact_full)
    add_pixel_metrics(samples, "pose_only", who, networks, t.pose, t.exact_pose)
    add_pixel_metrics(samples, "dyn_only", who, networks, t.dyn, t.exact_dyn)
    if networks.lpips is not None:
        copies = np.repeat(t.source, len(t.dyn), 0)
        samples.add("dyn_only.lpips_of_copy", who, networks.lpips(copies, t.exact_dyn))
    for name, made, exact in (
        ("pose_only", t.pose, t.exact_pose),
        ("dyn_only", t.dyn, t.exact_dyn),
    ):
        changes = (_float(made) - _float(t.reconstructed), _float(exact) - _float(t.source))
        samples.add(f"{name}.gain", who, change_gain(*changes))

    ours = (t.reconstructed, t.full, t.pose, t.dyn)
    truth = (t.source, t.exact_full, t.exact_pose, t.exact_dyn)
    faces, true_faces = ([networks.analyze(f, False) for f in frames] for frames in (ours, truth))
    measured, exact_measured = (
        [_HeadAndExpression(m.rotation, m.expression) for m in all_] for all_ in (faces, true_faces)
    )
    std = np.ones(faces[0].expression.shape[-1])
    _add_leakage(samples, "", who, measured, exact_measured, std)
    codes, true_codes = ([encode_motion(model, f) for f in frames] for frames in (ours, truth))
    measured, exact_measured = (
        [_HeadAndExpression(c[:, :3], c[:, POSE_DIM:]) for c in all_]
        for all_ in (codes, true_codes)
    )
    _add_leakage(samples, "_own", who, measured, exact_measured, model.stats.std[POSE_DIM:])

    add_face_errors(samples, "swap", who, faces[1], true_faces[1])
    full, source = AnalyzedFrames(t.full, faces[1]), AnalyzedFrames(t.source, true_faces[0])
    drivers = AnalyzedFrames(t.drivers, networks.analyze(t.drivers, False))
    add_identity(samples, "swap", who, networks, full, source, drivers)
    samples.add("swap.pose_error_own", who, pose_error(codes[1][:, :3], true_codes[1][:, :3]))


def _add_leakage(
    samples: Samples,
    suffix: str,
    identity: str,
    ours: _Measured,
    exact: _Measured,
    std: Float[np.ndarray, " k"],
) -> None:
    """Add the change of the undriven factor, over its change in a full transfer.

    What is measured in the exact renders, where it is constant, is subtracted from ours.
    """
    own, full, pose, dyn = ours
    source, exact_full, exact_pose, exact_dyn = exact

    key = f"pose_only.expression_share{suffix}"
    bias = exact_pose.expression - source.expression
    none = np.zeros_like(bias)
    change = dyn_change(pose.expression - own.expression, bias, std)
    full_change = dyn_change(full.expression - own.expression, bias, std)
    samples.add_ratio(key, identity, change, full_change)
    exact_change = dyn_change(exact_full.expression - source.expression, none, std)
    samples.add_ratio(f"exact.{key}", identity, dyn_change(bias, none, std), exact_change)

    key = f"dyn_only.pose_share{suffix}"
    bias = relative_rotation(exact_dyn.rotation, source.rotation)
    none = np.broadcast_to(np.eye(3), bias.shape)
    change = angle_between(relative_rotation(dyn.rotation, own.rotation), bias)
    full_change = angle_between(relative_rotation(full.rotation, own.rotation), bias)
    samples.add_ratio(key, identity, change, full_change)
    exact_change = angle_between(relative_rotation(exact_full.rotation, source.rotation), none)
    samples.add_ratio(f"exact.{key}", identity, angle_between(bias, none), exact_change)


def _float(frames: Frames) -> Float[np.ndarray, "t h w 3"]:
    return frames.astype(np.float32) / 255
