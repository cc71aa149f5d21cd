"""Names, units and ideal values of all metrics, and the targets of the shipped weights."""

from collections.abc import Mapping
from typing import NamedTuple

from vasa_jax.evaluation.lip_sync import CLASSES, CLOSED_LIPS, SLACK
from vasa_jax.evaluation.statistics import Summary
from vasa_jax.evaluation.types import SAME_PERSON, Sweep


class MetricSpec(NamedTuple):
    """One metric as it is shown in the report."""

    text: str
    unit: str
    best: str  # value of a perfect model


_PIXELS = {
    "psnr": MetricSpec("PSNR", "dB", "high"),
    "ssim": MetricSpec("SSIM", "", "1"),
    "lpips": MetricSpec("LPIPS (VGG-16)", "", "0"),
}
_IDENTITY = {
    "identity_distance": MetricSpec("identity distance to the source (dlib)", "", "0"),
    "same_person": MetricSpec(f"same person (distance below {SAME_PERSON})", "share", "1"),
}
_NEARER = {"nearer_source": MetricSpec("nearer to the source than to the driver", "share", "1")}
_FACE = {
    "pose_error": MetricSpec("pose error against the true picture's reading", "deg", "0"),
    "gaze_error": MetricSpec("gaze error against the true picture's reading", "deg", "0"),
    "distance_error": MetricSpec("distance error against the true picture's reading", "%", "0"),
    "face_found": MetricSpec("pictures in which a face is found", "share", "1"),
}
_LABEL = {
    f"{name}_error_against_label": MetricSpec(f"{name} error against the exact label", unit, "0")
    for name, unit in (("pose", "deg"), ("gaze", "deg"), ("distance", "%"))
}
_OWN = {"pose_error_own": MetricSpec("pose error by the model's own encoder", "deg", "0")}
_LEAKAGE = {
    "pose_only.expression_share": MetricSpec(
        "pose only: change of expression, of a full transfer's", "share", "0"
    ),
    "dyn_only.pose_share": MetricSpec(
        "dynamics only: turn of the head, of a full transfer's", "share", "0"
    ),
}
_OWN_LEAKAGE = {
    f"{key}_own": spec._replace(text=f"{spec.text}, by the model's own encoders")
    for key, spec in _LEAKAGE.items()
}
_POSE_INTENSITY = {
    f"delta_pose_{norm}": MetricSpec(f"ΔP, {text}", "deg per frame", "as the truth")
    for norm, text in (
        ("geodesic", "angle from frame to frame"),
        ("l1", "mean of the three angles' changes"),
        ("l2", "length of the three angles' changes"),
    )
}
_GAIN = "share of the exact change of pixels that is made"
_SWEPT = ("gaze_yaw", "gaze_pitch", "distance", "happiness", "sadness", "anger", "surprise")


def _under(
    prefix: str, *groups: Mapping[str, MetricSpec], words: str = ""
) -> dict[str, MetricSpec]:
    return {
        f"{prefix}{key}": spec._replace(text=words + spec.text)
        for group in groups
        for key, spec in group.items()
    }


SECTIONS: dict[str, dict[str, MetricSpec]] = {
    "Self-reenactment": _under("self.", _PIXELS, _IDENTITY, _FACE, _LABEL, _OWN)
    | {"self.mouth_error": MetricSpec("mouth opening error", "% of the eyes' distance", "0")},
    "Cross-reenactment": _under("cross.", _IDENTITY, _NEARER, _FACE, _LABEL, _OWN),
    "Exact swaps: full transfer": _under("swap.", _PIXELS, _IDENTITY, _NEARER, _FACE, _OWN),
    "Exact swaps: one factor alone": _under("pose_only.", _PIXELS, words="pose only: ")
    | _under("dyn_only.", _PIXELS, words="dynamics only: ")
    | {
        "dyn_only.lpips_of_copy": MetricSpec(
            "dynamics only: LPIPS of the source, unchanged", "", "above ours"
        ),
        "pose_only.gain": MetricSpec(f"pose only: {_GAIN}", "", "1"),
        "dyn_only.gain": MetricSpec(f"dynamics only: {_GAIN}", "", "1"),
    }
    | _LEAKAGE
    | _OWN_LEAKAGE,
    "Audio-driven": {
        "speech.mouth_correlation": MetricSpec(
            "mouth opening, correlation with the truth", "", "1"
        ),
        "speech.closed": MetricSpec(
            f"lips closed on /p b m/ (nearer than {CLOSED_LIPS} of the eyes' "
            f"distance, within {SLACK} frame)",
            "share",
            "1",
        ),
        **{
            f"speech.aperture_error {name}": MetricSpec(
                f"lip aperture error, {name}", "% of the eyes' distance", "0"
            )
            for name in CLASSES
        },
        "speech.offset": MetricSpec("audio offset (late is positive)", "frames", "0"),
        "speech.jump_ratio": MetricSpec("jump at window boundaries over jump inside", "", "1"),
        "speech.gaze_error": MetricSpec("gaze error against the command (0, 0)", "deg", "0"),
        "speech.diversity_pose": MetricSpec("diversity of head pose over seeds", "deg", "above 0"),
        "speech.diversity_dyn": MetricSpec("diversity of z_dyn over seeds", "std", "above 0"),
        **_under("speech.", _POSE_INTENSITY),
        "speech.delta_pose_motion": MetricSpec(
            "ΔP of the generated motion itself, angle", "deg per frame", "as the truth"
        ),
        "speech.face_found": _FACE["face_found"],
    },
    "Response to commands": {
        f"sweep.{name}.{key}": spec
        for name in _SWEPT
        for key, spec in {
            "correlation": MetricSpec(f"{name}: correlation with the command, of a clip", "", "1"),
            "monotonic": MetricSpec(
                f"{name}: steps in the right direction, of a clip", "share", "1"
            ),
            "slope": MetricSpec(f"{name}: answer per command, of a clip", "", "1"),
        }.items()
    },
    "What the instruments say of the truth": _under("floor.", _IDENTITY, _LABEL)
    | {
        "floor.face_found": _FACE["face_found"],
        "strangers.identity_distance": MetricSpec("identity distance of two people", "", "high"),
        "strangers.same_person": MetricSpec("two people taken for one", "share", "0"),
        "truth.closed": MetricSpec("lips closed on /p b m/", "share", "1"),
    }
    | _under("truth.", _POSE_INTENSITY)
    | _under("exact.", _LEAKAGE, _OWN_LEAKAGE, words="exact pictures, "),
}
"""Every metric by its key, in the order of the report."""


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
