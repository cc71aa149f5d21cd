"""Tracks with landmarks of a known mouth, head and eyes, without any network."""

import numpy as np

from vasa_jax.evaluation.face_analysis import lip_aperture
from vasa_jax.evaluation.types import FaceMeasurements
from vasa_jax.score.types import Tools, Track
from vasa_jax.typing import ARKIT

SIZE = (320, 240)


def face(rng):
    """(478, 3) pixels: random points, with eyes, lips, brows, forehead and chin in their places."""
    marks = np.array([160, 120, 0]) + rng.normal(scale=3, size=(478, 3))
    places = {33: (120, 90), 133: (140, 90), 362: (180, 90), 263: (200, 90), 10: (160, 40)}
    places |= {152: (160, 200), 13: (160, 150), 14: (160, 150)}
    for index, at in places.items():
        marks[index] = (*at, 0)
    return marks


def make_track(frames=75, mouth=None, rotation=None, waveform="speech", seed=0, found=None):
    """A track of `frames` frames. mouth: gap of the lips in pixels; found: frames with a face."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)
    if mouth is None:
        mouth = 6 + 5 * np.sin(t / 3)
    marks = np.repeat(face(rng)[None], frames, 0)
    for lower in (95, 88, 178, 87, 14, 317, 402, 318):
        marks[:, lower, 1] = marks[:, 13, 1] + mouth
    marks += 0.05 * rng.normal(size=marks.shape)
    marks[:, 14, 1] = marks[:, 13, 1] + mouth
    if rotation is None:
        rotation = 0.1 * np.sin(t[:, None] / np.array([7, 9, 11]))
    lids = np.zeros((frames, 52))
    blink = np.exp(-(((t % 50) - 25) ** 2) / 4)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        lids[:, ARKIT.index(name)] = blink
    faces = FaceMeasurements(
        rotation=np.array(rotation, float),
        log_scale=np.zeros(frames),
        gaze=0.05 * np.cos(t[:, None] / np.array([6, 8])),
        mouth=lip_aperture(marks),
        points=np.full((frames, 5, 2), 0.5),
        expression=lids,
        emotion=np.ones(8) / 8,
    )
    if found is not None:
        lost = ~np.asarray(found)
        marks[lost] = np.nan
        for rows in faces[:-1]:
            rows[lost] = np.nan
    if isinstance(waveform, str):
        level = np.repeat(np.maximum(mouth, 0) / 20, 640)
        waveform = level * np.sin(np.arange(frames * 640) * 2 * np.pi * 200 / 16000)
    numbers = tuple(range(0, frames, max(frames // 4, 1)))
    stills = np.stack([np.random.default_rng(n).integers(0, 256, (240, 320, 3)) for n in numbers])
    return Track(
        size=SIZE,
        landmarks=marks.astype(np.float32),
        faces=faces,
        waveform=None if waveform is None else np.asarray(waveform, np.float32),
        numbers=numbers,
        stills=stills.astype(np.uint8),
    )


def mean_colour(crops, points):
    return crops.reshape(len(crops), -1, 3).mean(1) / 64


def mean_difference(a, b):
    return np.abs(a.astype(float) - b).mean((1, 2, 3)) / 255


def everything_spoken(waveform):
    return [(0.0, len(waveform) / 16000)]


TOOLS = Tools(
    {
        "identity": lambda: mean_colour,
        "lpips": lambda: mean_difference,
        "vad": lambda: everything_spoken,
        "codec": lambda: lambda waveform: waveform,
        "soft-dtw": lambda: lambda a, b, gamma: float(np.square(a - b).sum()),
        "av_sync": "no network in this test",
        "syncnet": "no network in this test",
        "capp": "no network in this test",
        "capp_synthetic": "no network in this test",
    }
)
