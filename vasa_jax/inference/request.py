"""What a user asks for, checked before any slow work begins."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vasa_jax.config.overrides import nearest
from vasa_jax.errors import UserError
from vasa_jax.motion.clips import ClipControls
from vasa_jax.typing import EMOTIONS, Float

GAZE_LIMITS_DEG = (60.0, 45.0)
"""Largest |yaw| and |pitch| of the main gaze: beyond them an iris leaves the eye's opening."""
DISTANCE_LIMITS = (0.5, 2.0)
"""Head distance relative to the portrait's (1.0); the head's size goes with its inverse."""


@dataclass(frozen=True)
class Controls:
    """The conditions that a user may set (VASA-1 3.2: main gaze g, head distance d, emotion e).

    gaze: (yaw, pitch) in degrees, (0, 0) looks into the camera; None leaves it to the model.
    distance: 1.0 is the portrait's with neutral starts (`vasa_jax.extensions.neutral_context`),
        else the training data's mean; None leaves it to the model.
    emotion: weight per emotion name in [0, 1], summing to at most 1; the rest is neutral.
        None (the default, as in the paper) leaves it to the audio.
    """

    gaze: tuple[float, float] | None = (0.0, 0.0)
    distance: float | None = 1.0
    emotion: tuple[tuple[str, float], ...] | None = None

    def __post_init__(self):
        if self.gaze is not None:
            for value, limit, axis in zip(
                self.gaze, GAZE_LIMITS_DEG, ("yaw", "pitch"), strict=True
            ):
                if not math.isfinite(value) or abs(value) > limit:
                    raise UserError(
                        f"gaze {axis} {value:g} is out of range: give degrees within "
                        f"-{limit:g}..{limit:g}"
                    )
        low, high = DISTANCE_LIMITS
        if self.distance is not None and not low <= self.distance <= high:
            raise UserError(
                f"distance {self.distance:g} is out of range: give {low:g}..{high:g}, "
                "where 1.0 is the portrait's"
            )
        for name, weight in self.emotion or ():
            if name not in EMOTIONS:
                raise UserError(
                    f"unknown emotion {name!r}{nearest(name, EMOTIONS)} "
                    f"(known: {', '.join(EMOTIONS)})"
                )
            if not 0.0 <= weight <= 1.0:
                raise UserError(f"emotion {name}={weight:g} is out of range: give 0..1")
        if self.emotion and sum(w for _, w in self.emotion) > 1.0 + 1e-6:
            raise UserError("emotion weights add up to more than 1: lower them")

    def for_clip(self, pose: Float[np.ndarray, "t 7"] | None = None) -> ClipControls:
        """The controls in the motion model's units, for a whole clip; `pose` is kept exactly."""
        gaze = distance = emotion = None
        if self.gaze is not None:
            gaze = np.radians(np.asarray(self.gaze, np.float32))
        if self.distance is not None:
            distance = np.asarray([self.distance], np.float32)
        if self.emotion is not None:
            emotion = np.zeros(len(EMOTIONS), np.float32)
            for name, weight in self.emotion:
                emotion[EMOTIONS.index(name)] += weight
            emotion[EMOTIONS.index("neutral")] += max(0.0, 1.0 - float(emotion.sum()))
        return ClipControls(gaze, distance, emotion, pose)


@dataclass(frozen=True)
class Picture:
    """How the portrait is cropped and the result shown."""

    crop: str = "auto"  # around the face, or "none": the whole image
    face: int | None = None  # which face, 1 is the largest
    side_by_side: bool = False  # the portrait beside each frame
    paste_back: bool = False  # frames blended into the photo

    def __post_init__(self):
        if self.crop not in ("auto", "none"):
            raise UserError(f"crop {self.crop!r} is not one of auto, none")
        if self.paste_back and self.crop == "none":
            raise UserError(
                "--paste-back needs --crop auto: without a crop there is nothing to paste back into"
            )
        if self.paste_back and self.side_by_side:
            raise UserError("--paste-back and --side-by-side exclude each other: choose one")


@dataclass(frozen=True)
class Request:
    """One clip to generate."""

    image: Path
    audio: Path
    output: Path
    seed: int = 0
    controls: Controls = Controls()
    picture: Picture = Picture()
    pose_from: Path | None = None

    def __post_init__(self):
        check_seed(self.seed)


def check_seed(seed: int) -> None:
    """Raise UserError for a number that is no 32-bit seed."""
    if not 0 <= seed < 2**32:
        raise UserError(f"seed {seed} is out of range: give 0..{2**32 - 1}")


def parse_gaze(text: str) -> tuple[float, float] | None:
    """`YAW,PITCH` in degrees, or `none`."""
    if text.strip().lower() == "none":
        return None
    parts = text.split(",")
    if len(parts) != 2:
        raise UserError(f"gaze {text!r} is not YAW,PITCH in degrees, for example 10,-5")
    return _number(parts[0], "gaze yaw"), _number(parts[1], "gaze pitch")


def parse_distance(text: str) -> float | None:
    """A positive number (1.0 is the portrait's), or `none`."""
    return None if text.strip().lower() == "none" else _number(text, "distance")


def parse_emotion(text: str) -> tuple[tuple[str, float], ...] | None:
    """`happiness=0.6`, or several separated by commas; a bare name means 1; `none`: the audio's."""
    if text.strip().lower() in ("none", ""):
        return None
    pairs = []
    for item in text.split(","):
        name, separator, value = item.partition("=")
        weight = _number(value, f"emotion {name.strip()}") if separator else 1.0
        pairs.append((name.strip().lower(), weight))
    return tuple(pairs)


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{what} {text.strip()!r} is not a number") from None
    if not math.isfinite(value):
        raise UserError(f"{what} {text.strip()!r} is not a finite number")
    return value


def describe(request: Request) -> dict:
    """The request as JSON-ready values, files by name alone, for a video's metadata."""
    values = dataclasses.asdict(request)
    for key in ("image", "audio", "output", "pose_from"):
        values[key] = values[key].name if values[key] is not None else None
    return values
