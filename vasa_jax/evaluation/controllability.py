"""Controllability: response of generated videos to gaze, distance and emotion (VASA-1, section 4).

Each control is swept over a range with everything else fixed, and measured in the frames.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vasa_jax.evaluation.model_calls import decode_source, generate_all, to_size
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.types import (
    EvalClip,
    FaceMeasurements,
    Gallery,
    MetricNetworks,
    Model,
    Settings,
    Sweep,
)
from vasa_jax.inference.request import Controls
from vasa_jax.typing import EMOTIONS, SAMPLES_PER_FRAME, Float


class SweptControl(NamedTuple):
    """One control and the measurement that should follow it."""

    name: str
    unit: str
    values: tuple[float, ...]
    controls: Callable[[float], Controls]  # of a value, all other controls at their defaults
    measure: Callable[[FaceMeasurements], float]


def swept_controls() -> tuple[SweptControl, ...]:
    """Gaze yaw and pitch, head distance, and the emotions that differ most from neutral."""
    gaze = (
        SweptControl(
            "gaze_yaw",
            "deg",
            (-30.0, -15.0, 0.0, 15.0, 30.0),
            lambda x: Controls(gaze=(x, 0.0)),
            lambda m: _mean(np.degrees(m.gaze[:, 0])),
        ),
        SweptControl(
            "gaze_pitch",
            "deg",
            (-20.0, -10.0, 0.0, 10.0, 20.0),
            lambda x: Controls(gaze=(0.0, x)),
            lambda m: _mean(np.degrees(m.gaze[:, 1])),
        ),
        SweptControl(
            "distance",
            "of the mean",
            (0.8, 0.9, 1.0, 1.1, 1.25),
            lambda x: Controls(distance=x),
            lambda m: float(np.exp(-_mean(m.log_scale))),
        ),
    )
    return gaze + tuple(_emotion(name) for name in ("happiness", "sadness", "anger", "surprise"))


def _emotion(name: str) -> SweptControl:
    index = EMOTIONS.index(name)
    return SweptControl(
        name,
        "share",
        (0.0, 0.5, 1.0),
        lambda x: Controls(emotion=((name, x),)),
        lambda m: float(m.emotion[index]),
    )


def _mean(values: Float[np.ndarray, " t"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


class Response(NamedTuple):
    """How a measurement follows its control; all NaN where fewer than three values are known."""

    correlation: float  # Pearson's; NaN where the measurement is constant
    monotonic: float  # share of steps with a growing measurement; an unknown one does not grow
    slope: float  # of the least-squares line


def response(commands: Float[np.ndarray, " n"], answers: Float[np.ndarray, " n"]) -> Response:
    """Response of the measured `answers` to `commands`, which all differ; NaN is not measured."""
    order = np.argsort(commands, kind="stable")
    x, y = (np.asarray(v, np.float64)[order] for v in (commands, answers))
    known = np.isfinite(y)
    if known.sum() < 3:
        return Response(float("nan"), float("nan"), float("nan"))
    dx, dy = x[known] - x[known].mean(), y[known] - y[known].mean()
    slope = float(dx @ dy / (dx @ dx))
    power = np.sqrt((dx @ dx) * (dy @ dy))
    correlation = float(dx @ dy / power) if power > 1e-12 * len(dx) else float("nan")
    return Response(correlation, float((np.diff(y) > 0).mean()), slope)


def measure_sweeps(
    model: Model,
    clips: Sequence[EvalClip],
    networks: MetricNetworks,
    settings: Settings,
    samples: Samples,
    gallery: Gallery,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Sweep]:
    """Add `sweep.NAME.correlation`, `.monotonic` and `.slope` of each clip; return the curves.

    Clip and seed stay fixed over a sweep. A measurement is the mean over the frames; a curve is the
    mean over the clips, NaN at values that are unknown for one of them.
    """
    size = model.config.face.image_size
    found = []
    for control in swept_controls():
        rows = []
        for clip in clips[: settings.sweep_clips]:
            count = min(clip.num_frames, settings.sweep_frames)
            waveform = clip.waveform[: count * SAMPLES_PER_FRAME]
            features = model.audio(waveform)[:count]
            portrait = to_size(clip.decode_frames([0]), size)[0]
            controls = [control.controls(value) for value in control.values]
            seeds = [settings.seed] * len(controls)
            source = model.encode(portrait)
            motions = generate_all(model, waveform, features, controls, seeds, source)
            answers, shown = [], []
            for motion in motions:
                frames = decode_source(model, source, motion)
                answers.append(control.measure(networks.analyze(frames, True)))
                shown.append(frames[count // 2])
            gallery.keep(gallery.sweeps.setdefault(control.name, []), tuple(shown))
            result = response(np.array(control.values), np.array(answers))
            for name, value in result._asdict().items():
                samples.add(f"sweep.{control.name}.{name}", clip.identity, value)
            rows.append(answers)
            advance(1)
        curve = np.array(rows).mean(0) if rows else np.full(len(control.values), np.nan)
        found.append(Sweep(control.name, control.unit, control.values, tuple(curve.tolist())))
    return found
