"""Audio augmentation of speech: channel (level, tilt, band, noise) and speed.

Not from the paper, whose Wav2Vec2 was trained on many speakers; an encoder that is trained along
with the motion model on few voices needs it.
"""

import numpy as np

from vasa_jax.typing import SAMPLE_RATE, SAMPLES_PER_FRAME, Float, Int

GAIN = (-12.0, 6.0)
"""Change of level in dB, uniform."""
TILT = 4.0
"""Largest tilt of the spectrum about 1 kHz, dB per octave."""
CUT, CUT_SHARE = (3000.0, 7000.0), 0.2
"""Cut-off of the low-pass filter in Hz, and the share of clips that get one."""
NOISE, NOISE_SHARE = (5.0, 40.0), 0.5
"""Signal-to-noise ratio in dB, white to red noise, and the share of clips that get it."""
SPEED = 1.18
"""Largest factor of playback speed, up or down; pitch and formants change with it."""


def augment_channel(
    rng: np.random.Generator, wave: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """(n,) samples in [-1, 1] through a random channel; nothing moves in time, silence stays so."""
    spectrum = np.fft.rfft(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    audible = np.maximum(hertz, 60.0)
    octaves = np.log2(audible / 1000)
    shape = 10 ** (rng.uniform(-TILT, TILT) * octaves / 20)
    cut = rng.uniform(*CUT)
    if rng.random() < CUT_SHARE:
        shape = np.where(hertz > cut, 0.0, shape)
    # Level is set by the gain alone: the tilt's own change of level is undone.
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


def augment_speed(
    rng: np.random.Generator,
    wave: Float[np.ndarray, " n"],
    labels: Int[np.ndarray, " t"],
    frames: int,
) -> tuple[Float[np.ndarray, " m"], Int[np.ndarray, " f"]]:
    """A random stretch of a clip at a random speed: (frames * 640,) samples and its frames' labels.

    wave: (t * 640,). labels: of the middle of each frame.
    """
    total = len(labels)
    speed = min(SPEED ** rng.uniform(-1, 1), total / frames)
    start = rng.uniform(0, total - frames * speed)
    seen = (start + (np.arange(frames) + 0.5) * speed).astype(int)
    places = start * SAMPLES_PER_FRAME + np.arange(frames * SAMPLES_PER_FRAME) * speed
    found = np.interp(places, np.arange(len(wave)), wave).astype(np.float32)
    return found, labels[np.minimum(seen, total - 1)]
