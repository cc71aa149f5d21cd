"""Names, units and ideal values of all metrics, by section of the report."""

from collections.abc import Mapping
from typing import NamedTuple

from vasa_jax.evaluation.lip_sync import CLASSES, CLOSED_LIPS, SLACK
from vasa_jax.evaluation.types import SAME_PERSON
from vasa_jax.score.metrics import FROM_FRAMES


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
    """Specs with `prefix` before each key and `words` before each text."""
    return {
        f"{prefix}{key}": spec._replace(text=words + spec.text)
        for group in groups
        for key, spec in group.items()
    }


def _scored(prefix: str, paired: bool) -> dict[str, MetricSpec]:
    """Specs of the figures of `vasa-jax score`. paired: those against a real video as well."""
    return {
        f"{prefix}{key}": MetricSpec(spec.text, spec.unit, spec.best)
        for metric in FROM_FRAMES
        if paired or not metric.paired
        for key, spec in metric.specs.items()
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
    "Audio-driven, by the metrics of `vasa-jax score`": _scored("score.", True),
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
    | _under("exact.", _LEAKAGE, _OWN_LEAKAGE, words="exact pictures, ")
    | _scored("score_truth.", False),
}
"""Every metric by its key, in the order of the report."""
