"""Small clips whose heads follow the sound: nods on clicks."""

import numpy as np

from vasa_jax.typing import SAMPLES_PER_FRAME


def make_clip(frames=120, seed=0):
    """rotation (t, 3) radians, waveform (640 t,): bursts of noise, and a nod at each."""
    draw = np.random.default_rng(seed)
    loud = np.zeros(frames, np.float32)
    at = 5
    while at < frames - 5:
        loud[at : at + 3] = 1
        at += int(draw.integers(8, 20))
    noise = draw.standard_normal(frames * SAMPLES_PER_FRAME).astype(np.float32)
    wave = 0.1 * noise * np.repeat(loud, SAMPLES_PER_FRAME) + 1e-4 * noise
    nod = np.convolve(loud, np.hanning(7), "same")
    rotation = np.stack([0.05 * nod, 0.02 * nod, -0.03 * nod], 1) + draw.normal(0, 0.2, 3)
    return rotation.astype(np.float32), wave.astype(np.float32)


def write_clips(folder, count=6, frames=120, split="train"):
    (folder / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rotation, wave = make_clip(frames, number)
        sound = np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)
        np.savez(
            folder / split / f"c{number}.npz",
            rotation=rotation,
            audio=sound,
            identity=np.array(f"person{number // 2}"),
        )
