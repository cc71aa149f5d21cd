"""Gaze, distance and emotion turned up step by step: does the picture answer?"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vasa_jax.evaluation.response import response
from vasa_jax.evaluation.statistics import Samples
from vasa_jax.evaluation.structs import EvalClip, Instruments, Model, Readings, Settings, Sweep
from vasa_jax.evaluation.use import sample_all, speak, to_size
from vasa_jax.inference.request import Controls
from vasa_jax.typing import EMOTIONS, SAMPLES_PER_FRAME, Float


class Condition(NamedTuple):
    """One condition to turn up. command: of a value, all others at their defaults. answer: of the
    readings of the pictures."""

    name: str
    unit: str
    values: tuple[float, ...]
    command: Callable[[float], Controls]
    answer: Callable[[Readings], float]


def conditions() -> tuple[Condition, ...]:
    """Gaze yaw and pitch, head distance, and the emotions that differ most from neutral."""
    gaze = (
        Condition(
            "gaze_yaw",
            "deg",
            (-30.0, -15.0, 0.0, 15.0, 30.0),
            lambda x: Controls(gaze=(x, 0.0)),
            lambda r: _mean(np.degrees(r.gaze[:, 0])),
        ),
        Condition(
            "gaze_pitch",
            "deg",
            (-20.0, -10.0, 0.0, 10.0, 20.0),
            lambda x: Controls(gaze=(0.0, x)),
            lambda r: _mean(np.degrees(r.gaze[:, 1])),
        ),
        Condition(
            "distance",
            "of the mean",
            (0.8, 0.9, 1.0, 1.1, 1.25),
            lambda x: Controls(distance=x),
            lambda r: float(np.exp(-_mean(r.log_scale))),
        ),
    )
    return gaze + tuple(_emotion(name) for name in ("happiness", "sadness", "anger", "surprise"))


def _emotion(name: str) -> Condition:
    place = EMOTIONS.index(name)
    return Condition(
        name,
        "share",
        (0.0, 0.5, 1.0),
        lambda x: Controls(emotion=((name, x),)),
        lambda r: float(r.emotion[place]),
    )


def _mean(values: Float[np.ndarray, " t"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def measure_sweeps(
    model: Model,
    clips: Sequence[EvalClip],
    instruments: Instruments,
    settings: Settings,
    samples: Samples,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Sweep]:
    """Adds `sweep.NAME.correlation`, `.monotonic` and `.slope` of each clip; returns the curves.

    One clip, one seed, one condition at a time: whatever changes is the condition's doing. Answers
    are means over the frames; a curve is the mean over the clips where all its points are read.
    """
    size = model.config.face.image_size
    found = []
    for condition in conditions():
        rows = []
        for clip in clips[: settings.sweep_clips]:
            count = min(clip.count, settings.sweep_frames)
            sound = clip.waveform[: count * SAMPLES_PER_FRAME]
            features = model.audio(sound)[:count]
            portrait = to_size(clip.pictures([0]), size)[0]
            controls = [condition.command(value) for value in condition.values]
            seeds = [settings.seed] * len(controls)
            source = model.encode(portrait)
            motions = sample_all(model, sound, features, controls, seeds, source)
            answers = []
            for motion, wish in zip(motions, controls, strict=True):
                read = instruments.reader(speak(model, source, motion, wish), True)
                answers.append(condition.answer(read))
            result = response(np.array(condition.values), np.array(answers))
            for name, value in result._asdict().items():
                samples.add(f"sweep.{condition.name}.{name}", clip.identity, value)
            rows.append(answers)
            advance(1)
        curve = np.array(rows).mean(0) if rows else np.full(len(condition.values), np.nan)
        found.append(Sweep(condition.name, condition.unit, condition.values, tuple(curve.tolist())))
    return found
