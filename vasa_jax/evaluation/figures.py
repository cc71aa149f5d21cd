"""What each figure is called, its unit and how it is measured; and the aims to hold it against."""

from collections.abc import Mapping
from typing import NamedTuple

from vasa_jax.evaluation.speech import CLASSES, CLOSED_LIPS, SLACK
from vasa_jax.evaluation.statistics import Summary
from vasa_jax.evaluation.structs import SAME_PERSON, Sweep


class Figure(NamedTuple):
    """text: what it is. unit: of the number. best: what a perfect model has, for the reader."""

    text: str
    unit: str
    best: str


_PICTURES = {
    "psnr": Figure("PSNR", "dB", "high"),
    "ssim": Figure("SSIM", "", "1"),
    "lpips": Figure("LPIPS (VGG-16)", "", "0"),
}
_IDENTITY = {
    "identity_distance": Figure("identity distance to the source (dlib)", "", "0"),
    "same_person": Figure(f"same person (distance below {SAME_PERSON})", "share", "1"),
}
_RIVAL = {"nearer_source": Figure("nearer to the source than to the driver", "share", "1")}
_READ = {
    "pose_error": Figure("pose error against the true picture's reading", "deg", "0"),
    "gaze_error": Figure("gaze error against the true picture's reading", "deg", "0"),
    "distance_error": Figure("distance error against the true picture's reading", "%", "0"),
    "face_found": Figure("pictures in which a face is found", "share", "1"),
}
_LABEL = {
    f"{name}_error_against_label": Figure(f"{name} error against the exact label", unit, "0")
    for name, unit in (("pose", "deg"), ("gaze", "deg"), ("distance", "%"))
}
_OWN = {"pose_error_own": Figure("pose error by the model's own encoder", "deg", "0")}
_SHARES = {
    "pose_only.expression_share": Figure(
        "pose only: change of expression, of a full transfer's", "share", "0"
    ),
    "dyn_only.pose_share": Figure(
        "dynamics only: turn of the head, of a full transfer's", "share", "0"
    ),
}
_OWN_SHARES = {
    f"{key}_own": figure._replace(text=f"{figure.text}, by the model's own encoders")
    for key, figure in _SHARES.items()
}
_DELTA = {
    f"delta_pose_{norm}": Figure(f"ΔP, {words}", "deg per frame", "as the truth")
    for norm, words in (
        ("geodesic", "angle from frame to frame"),
        ("l1", "mean of the three angles' changes"),
        ("l2", "length of the three angles' changes"),
    )
}
_GAIN = "share of the exact change of pixels that is made"
_SWEPT = ("gaze_yaw", "gaze_pitch", "distance", "happiness", "sadness", "anger", "surprise")


def _under(prefix: str, *groups: Mapping[str, Figure], words: str = "") -> dict[str, Figure]:
    return {
        f"{prefix}{key}": figure._replace(text=words + figure.text)
        for group in groups
        for key, figure in group.items()
    }


SECTIONS: dict[str, dict[str, Figure]] = {
    "Self-reenactment": _under("self.", _PICTURES, _IDENTITY, _READ, _LABEL, _OWN)
    | {"self.mouth_error": Figure("mouth opening error", "% of the eyes' distance", "0")},
    "Cross-reenactment": _under("cross.", _IDENTITY, _RIVAL, _READ, _LABEL, _OWN),
    "Exact swaps: full transfer": _under("swap.", _PICTURES, _IDENTITY, _RIVAL, _READ, _OWN),
    "Exact swaps: one factor alone": _under("pose_only.", _PICTURES, words="pose only: ")
    | _under("dyn_only.", _PICTURES, words="dynamics only: ")
    | {
        "dyn_only.lpips_of_copy": Figure(
            "dynamics only: LPIPS of the source, unchanged", "", "above ours"
        ),
        "pose_only.gain": Figure(f"pose only: {_GAIN}", "", "1"),
        "dyn_only.gain": Figure(f"dynamics only: {_GAIN}", "", "1"),
    }
    | _SHARES
    | _OWN_SHARES,
    "Audio-driven": {
        "speech.mouth_correlation": Figure("mouth opening, correlation with the truth", "", "1"),
        "speech.closed": Figure(
            f"lips closed on /p b m/ (nearer than {CLOSED_LIPS} of the eyes' "
            f"distance, within {SLACK} frame)",
            "share",
            "1",
        ),
        **{
            f"speech.aperture_error {name}": Figure(
                f"lip aperture error, {name}", "% of the eyes' distance", "0"
            )
            for name in CLASSES
        },
        "speech.offset": Figure("audio offset (late is positive)", "frames", "0"),
        "speech.jump_ratio": Figure("jump at window boundaries over jump inside", "", "1"),
        "speech.gaze_error": Figure("gaze error against the command (0, 0)", "deg", "0"),
        "speech.diversity_pose": Figure("diversity of head pose over seeds", "deg", "above 0"),
        "speech.diversity_dyn": Figure("diversity of z_dyn over seeds", "std", "above 0"),
        **_under("speech.", _DELTA),
        "speech.delta_pose_motion": Figure(
            "ΔP of the generated motion itself, angle", "deg per frame", "as the truth"
        ),
        "speech.face_found": _READ["face_found"],
    },
    "Response to commands": {
        f"sweep.{name}.{key}": figure
        for name in _SWEPT
        for key, figure in {
            "correlation": Figure(f"{name}: correlation with the command, of a clip", "", "1"),
            "monotonic": Figure(f"{name}: steps in the right direction, of a clip", "share", "1"),
            "slope": Figure(f"{name}: answer per command, of a clip", "", "1"),
        }.items()
    },
    "What the instruments say of the truth": _under("floor.", _IDENTITY, _LABEL)
    | {
        "floor.face_found": _READ["face_found"],
        "strangers.identity_distance": Figure("identity distance of two people", "", "high"),
        "strangers.same_person": Figure("two people taken for one", "share", "0"),
        "truth.closed": Figure("lips closed on /p b m/", "share", "1"),
    }
    | _under("truth.", _DELTA)
    | _under("exact.", _SHARES, _OWN_SHARES, words="exact pictures, "),
}
"""Every figure by its key, in the order of the report."""


class Aim(NamedTuple):
    """One row of the aims table. text: the figure; wanted: the aim in words. value: what was
    reached, in words; met: None where it was not measured; key: of the figure that counts."""

    text: str
    wanted: str
    value: str
    met: bool | None
    key: str


_AIMS = (
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
OFFSET_AIM = 1
SWEEP_AIM = 0.9


def aims(
    summaries: Mapping[str, Summary],
    offset: float | None,
    sweeps: Mapping[str, tuple[Sweep, float | None, float | None]],
) -> list[Aim]:
    """The table of aims of the shipped weights, filled in with means.

    The first of several figures that was measured counts. offset: the lag at which the correlation,
    averaged over all clips, is highest. sweeps: by name the curve, its correlation with the command
    and the share of its steps in the right direction.
    """
    rows = []
    for text, keys, relation, limit, unit in _AIMS:
        measured = [k for k in keys if k in summaries and summaries[k].mean is not None]
        wanted = f"{relation} {limit:g} {unit}".strip()
        if not measured:
            rows.append(Aim(text, wanted, "not measured", None, keys[0]))
            continue
        found = summaries[measured[0]]
        met = found.mean >= limit if relation == ">=" else found.mean <= limit
        value = f"{number(found.mean)}{interval(found)}"
        rows.append(Aim(text, wanted, value, met, measured[0]))
    wanted = f"0 ± {OFFSET_AIM} frames"
    value = "not measured" if offset is None else f"{offset:+.0f}"
    met = None if offset is None else abs(offset) <= OFFSET_AIM
    rows.append(Aim("audio offset", wanted, value, met, "offset"))
    for name in ("gaze_yaw", "gaze_pitch", "distance"):
        _, correlation, monotonic = sweeps.get(name, (None, None, None))
        text, wanted = f"{name} sweep", f"monotonic, correlation >= {SWEEP_AIM}"
        if monotonic is None:
            rows.append(Aim(text, wanted, "not measured", None, f"sweeps.{name}"))
            continue
        words = "monotonic" if monotonic == 1 else f"{monotonic:.0%} of the steps right"
        shown = "no answer" if correlation is None else f"correlation {number(correlation)}"
        met = monotonic == 1 and correlation is not None and correlation >= SWEEP_AIM
        rows.append(Aim(text, wanted, f"{words}, {shown}", met, f"sweeps.{name}"))
    return rows


def number(value: float | None) -> str:
    """Three digits after the point for small numbers, fewer for large ones."""
    if value is None:
        return "—"
    size = abs(value)
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 10 else f"{value:.3f}"


def interval(found: Summary) -> str:
    """` [low, high]`, or nothing where there is none."""
    return "" if found.low is None else f" [{number(found.low)}, {number(found.high)}]"
