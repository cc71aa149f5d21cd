"""Other voices, rooms and microphones, of the same speech: what an audio encoder must not hear.

Not from the paper, whose encoder (Wav2Vec2) has heard many speakers. One that learns from some
hundred voices of a machine knows those voices: it must be told what does not matter.
"""

import numpy as np

from vasa_jax.typing import SAMPLE_RATE, SAMPLES_PER_FRAME, Float, Int

GAIN = (-12.0, 6.0)
"""Decibels, uniform."""
TILT = 4.0
"""Decibels an octave about 1 kHz, either way: a dull room, a thin microphone."""
CUT, CUT_SHARE = (3000.0, 7000.0), 0.2
"""Hz above which nothing is left, as on a telephone, in this share of the sounds."""
NOISE, NOISE_SHARE = (5.0, 40.0), 0.5
"""Decibels of the sound above the noise (white to red), in this share."""
SPEED = 1.18
"""Speech is played at most so many times as fast or slowly: pitch and formants go with it."""


def other_room(rng: np.random.Generator, wave: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """(n,) float32 in [-1, 1] -> the same, sample for sample in time, through another room and
    microphone: level, tilt of the spectrum, band, noise. Silence stays silent."""
    spectrum = np.fft.rfft(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    audible = np.maximum(hertz, 60.0)
    octaves = np.log2(audible / 1000)
    shape = 10 ** (rng.uniform(-TILT, TILT) * octaves / 20)
    cut = rng.uniform(*CUT)
    if rng.random() < CUT_SHARE:
        shape = np.where(hertz > cut, 0.0, shape)
    # A tilt changes how loud a sound is, each another; the gain alone is to do that.
    before = np.sqrt(np.square(np.abs(spectrum)).sum())
    after = np.sqrt(np.square(np.abs(spectrum * shape)).sum())
    level = 10 ** (rng.uniform(*GAIN) / 20) * before / max(after, 1e-9)
    found = np.fft.irfft(spectrum * shape * level, len(wave))
    if rng.random() < NOISE_SHARE:
        redness = rng.uniform(0.0, 1.0)
        white = np.fft.rfft(rng.standard_normal(len(wave)))
        noise = np.fft.irfft(white / audible**redness, len(wave))
        loud = np.sqrt(np.square(found).mean()) * 10 ** (-rng.uniform(*NOISE) / 20)
        found = found + noise * loud / max(np.sqrt(np.square(noise).mean()), 1e-9)
    return np.clip(found, -1, 1).astype(np.float32)


def other_speaker(
    rng: np.random.Generator,
    wave: Float[np.ndarray, " n"],
    labels: Int[np.ndarray, " t"],
    frames: int,
) -> tuple[Float[np.ndarray, " m"], Int[np.ndarray, " f"]]:
    """A random stretch of `frames` frames of a clip of t, faster and higher or slower and deeper.

    wave: (t * 640,). labels: one a frame, of its middle. Returns (frames * 640,) float32 and the
    labels of its frames.
    """
    total = len(labels)
    speed = min(SPEED ** rng.uniform(-1, 1), total / frames)
    start = rng.uniform(0, total - frames * speed)
    seen = (start + (np.arange(frames) + 0.5) * speed).astype(int)
    places = start * SAMPLES_PER_FRAME + np.arange(frames * SAMPLES_PER_FRAME) * speed
    found = np.interp(places, np.arange(len(wave)), wave).astype(np.float32)
    return found, labels[np.minimum(seen, total - 1)]
