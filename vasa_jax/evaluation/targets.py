"""Targets of the shipped weights, and whether an evaluation reaches them."""

from collections.abc import Mapping
from typing import NamedTuple

from vasa_jax.evaluation.statistics import Summary
from vasa_jax.evaluation.types import Sweep


class Target(NamedTuple):
    """One row of the table of targets, with the value that was reached."""

    text: str
    wanted: str
    value: str
    met: bool | None  # None where it was not measured
    key: str  # of the metric that counts


_TARGETS = (
    ("self-reenactment PSNR", ("self.psnr",), ">=", 25.0, "dB"),
    ("self-reenactment LPIPS", ("self.lpips",), "<=", 0.12, ""),
    ("cross-reenactment against the exact render, LPIPS", ("swap.lpips",), "<=", 0.15, ""),
    (
        "same person as the source, cross-reenactment",
        ("cross.same_person", "swap.same_person"),
        ">=",
        0.9,
        "share",
    ),
    ("pose error after transfer", ("swap.pose_error", "cross.pose_error"), "<=", 3.0, "deg"),
    (
        "pose-only transfer: change of expression",
        ("pose_only.expression_share",),
        "<=",
        0.15,
        "of a full transfer's",
    ),
    (
        "dyn-only transfer: change of pose",
        ("dyn_only.pose_share",),
        "<=",
        0.15,
        "of a full transfer's",
    ),
    (
        "mouth opening, audio-driven, correlation with the truth",
        ("speech.mouth_correlation",),
        ">=",
        0.7,
        "",
    ),
    ("closed lips on /p b m/", ("speech.closed",), ">=", 0.8, "share"),
    ("window boundary jump / inside jump", ("speech.jump_ratio",), "<=", 1.1, ""),
)
OFFSET_TARGET = 1
SWEEP_TARGET = 0.9


def check_targets(
    summaries: Mapping[str, Summary],
    offset: float | None,
    sweeps: Mapping[str, tuple[Sweep, float | None, float | None]],
) -> list[Target]:
    """The targets of the shipped weights with the means that were reached.

    Of several metrics the first that was measured counts. offset: lag of the highest correlation of
    the mouth, averaged over the clips. sweeps: by name the curve, its correlation with the command
    and the share of its steps in the right direction.
    """
    rows = []
    for text, keys, relation, limit, unit in _TARGETS:
        measured = [k for k in keys if k in summaries and summaries[k].mean is not None]
        wanted = f"{relation} {limit:g} {unit}".strip()
        if not measured:
            rows.append(Target(text, wanted, "not measured", None, keys[0]))
            continue
        found = summaries[measured[0]]
        value = f"{number(found.mean)}{interval(found)}"
        rows.append(Target(text, wanted, value, _reaches(found.mean, relation, limit), measured[0]))
    wanted = f"0 ± {OFFSET_TARGET} frames"
    value = "not measured" if offset is None else f"{offset:+.0f}"
    in_sync = None if offset is None else abs(offset) <= OFFSET_TARGET
    rows.append(Target("audio offset", wanted, value, in_sync, "offset"))
    for name in ("gaze_yaw", "gaze_pitch", "distance"):
        _, correlation, monotonic = sweeps.get(name, (None, None, None))
        text, wanted = f"{name} sweep", f"monotonic, correlation >= {SWEEP_TARGET}"
        if monotonic is None:
            rows.append(Target(text, wanted, "not measured", None, f"sweeps.{name}"))
            continue
        steps = "monotonic" if monotonic == 1 else f"{monotonic:.0%} of the steps right"
        shown = "no answer" if correlation is None else f"correlation {number(correlation)}"
        met = monotonic == 1 and correlation is not None and correlation >= SWEEP_TARGET
        rows.append(Target(text, wanted, f"{steps}, {shown}", met, f"sweeps.{name}"))
    return rows


def _reaches(mean: float | None, relation: str, limit: float) -> bool | None:
    if mean is None:
        return None
    return mean >= limit if relation == ">=" else mean <= limit


def number(value: float | None) -> str:
    """Three decimals, fewer for numbers from 10 on; a dash for None."""
    if value is None:
        return "—"
    size = abs(value)
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 10 else f"{value:.3f}"


def interval(found: Summary) -> str:
    """` [low, high]`, or the empty string."""
    return "" if found.low is None else f" [{number(found.low)}, {number(found.high)}]"
