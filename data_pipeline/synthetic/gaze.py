"""Gaze of a synthetic head: main direction, aversions, saccades, and the lids that follow."""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, smooth
from vasa_jax.data_pipeline.synthetic.visemes import PLACE
from vasa_jax.typing import Float

MAIN_RANGE = np.radians([20.0, 12.0])
"""Yaw and pitch of the farthest main direction."""
TO_CAMERA = 0.4
"""Share of clips whose main direction is the camera."""
_AWAY, _BETWEEN = (
    {True: (1.96, 0.32), False: (1.14, 0.27)},
    {True: (4.75, 1.39), False: (7.21, 1.88)},
)
"""Seconds (mean, standard deviation) of an aversion and between two, speaking or not: Andrist et
al. 2013."""
_DIRECTIONS = np.arange(8) * np.pi / 4
_SHARES = np.array([15.5, 6.5, 17.7, 7.4, 16.8, 7.9, 20.4, 7.8])
"""Percent of saccades to the right, up right, up and so on: Eyes Alive (Lee et al. 2002)."""
_EYE_RANGE = {"side": np.radians(33.0), "up": np.radians(25.0), "down": np.radians(30.0)}
"""Turn of an eye in the head at which its eyeLook coefficient is 1."""


class GazePath(NamedTuple):
    """Gaze at 100 Hz."""

    direction: Float[np.ndarray, "r 2"]  # yaw and pitch as in `Clip.gaze`
    main: Float[np.ndarray, "2"]
    shift: np.ndarray  # bool, true while a saccade of more than 2 degrees lasts


def main_direction(rng: np.random.Generator) -> Float[np.ndarray, "2"]:
    """A clip's main direction: the camera, or evenly within `MAIN_RANGE`'s ellipse."""
    if rng.random() < TO_CAMERA:
        return np.zeros(2)
    radius, angle = np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    return MAIN_RANGE * radius * np.array([np.cos(angle), np.sin(angle)])


def look(rng: np.random.Generator, prosody: Prosody, main: Float[np.ndarray, "2"]) -> GazePath:
    """The line of sight over a clip.

    Most of the time near `main` (72 % while talking), with aversions of 4 to 8 degrees, none in a
    turn's last second, and fixations that wander by 1.3 degrees sideways and 0.8 up and down. A
    saccade of A degrees takes 25 + 2.4 A ms (main sequence).
    """
    count = len(prosody.loudness)
    talking = smooth(prosody.speaking, 0.4) > 0.25
    targets = _wander(rng, count) + main
    clock = rng.uniform(0.3, 5.0)
    while clock < count / RATE:
        speaks = bool(talking[min(int(clock * RATE), count - 1)])
        length = max(0.4, rng.normal(*_AWAY[speaks]))
        first, last = int(clock * RATE), min(int((clock + length) * RATE), count)
        ending = talking[first] and not talking[min(first + RATE, count - 1)]
        if not ending:
            angle = rng.choice(_DIRECTIONS, p=_SHARES / _SHARES.sum()) + rng.normal(0, 0.15)
            size = np.radians(np.clip(4 + rng.exponential(6.9), 4, 8))
            targets[first:last] += size * np.array([np.cos(angle), np.sin(angle)])
        clock += length + max(1.0, rng.normal(*_BETWEEN[speaks]))
    return _saccades(targets, main)


def _wander(rng: np.random.Generator, count: int) -> Float[np.ndarray, "r 2"]:
    """Fixations about a point: new ones after 0.2 s and more, 0.8 s on average."""
    out = np.zeros((count, 2))
    at = 0
    while at < count:
        last = at + int((0.2 + rng.exponential(0.6)) * RATE)
        out[at:last] = np.radians(rng.normal(0, [1.3, 0.8]))
        at = last
    return out


def _saccades(targets: Float[np.ndarray, "r 2"], main: Float[np.ndarray, "2"]) -> GazePath:
    """Steps made into short ramps, each as long as a saccade of its size."""
    direction, shift = targets.copy(), np.zeros(len(targets), bool)
    steps = np.flatnonzero(np.abs(np.diff(targets, axis=0)).sum(1) > 1e-9) + 1
    for at in steps:
        size = np.degrees(np.linalg.norm(targets[at] - targets[at - 1]))
        length = max(2, round((0.025 + 0.0024 * size) * RATE))
        last = min(at + length, len(targets))
        part = np.arange(1, last - at + 1)[:, None] / (length + 1)
        ease = part * part * (3 - 2 * part)
        here = direction[at:last]
        direction[at:last] = direction[at - 1] + ease * (here - direction[at - 1])
        shift[at:last] |= size > 2
    return GazePath(direction, main, shift)


def look_coefficients(
    gaze: Float[np.ndarray, "r 2"], rotation: Float[np.ndarray, "r 3"]
) -> Float[np.ndarray, "r 52"]:
    """The eyeLook* coefficients of lids that follow the eyes as they turn in the head.

    gaze as in `Clip` (yaw > 0 to the right of the picture, pitch > 0 up), rotation as in
    `vasa_jax.typing.Pose`: a head with positive yaw faces the left of the picture, with positive
    pitch down. Left is the person's, so their left eye turns out when they look to the picture's
    right.
    """
    out = np.zeros((len(gaze), 52))
    yaw = (gaze[:, 0] + rotation[:, 1]) / _EYE_RANGE["side"]
    pitch = gaze[:, 1] + rotation[:, 0]
    for name, value in (
        ("eyeLookOutLeft", yaw),
        ("eyeLookInRight", yaw),
        ("eyeLookInLeft", -yaw),
        ("eyeLookOutRight", -yaw),
        ("eyeLookUpLeft", pitch / _EYE_RANGE["up"]),
        ("eyeLookUpRight", pitch / _EYE_RANGE["up"]),
        ("eyeLookDownLeft", -pitch / _EYE_RANGE["down"]),
        ("eyeLookDownRight", -pitch / _EYE_RANGE["down"]),
    ):
        out[:, PLACE[name]] = np.clip(value, 0, 1)
    return out
