"""Made lips and sound that move together: what a sync network can learn in seconds."""

import numpy as np

from vasa_jax.sync.clips import write_lip_clip
from vasa_jax.typing import SAMPLES_PER_FRAME


def face_and_sound(seed, frames=150):
    """Landmarks (t, 478, 3) in pixels of a head that turns and speaks, and its samples.

    A mouth that opens by a random curve, with the loudness of a hum that follows it.
    """
    rng = np.random.default_rng(seed)
    knots = np.abs(rng.standard_normal(frames // 3 + 3))
    opening = np.interp(np.arange(frames) / 3, np.arange(len(knots)), knots)
    face = rng.normal(0, 60, (478, 3)) * (1, 1, 0.3)
    points = np.repeat(face[None], frames, 0)
    lower = [14, 17, 87, 317, 84, 314, 152, 199, 200]
    points[:, lower, 1] += 12 * opening[:, None]
    angle = 0.2 * np.sin(np.arange(frames) / 17 + seed)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    points[..., :2] = np.einsum("tij,tpj->tpi", turn.reshape(-1, 2, 2), points[..., :2])
    points[..., :2] += 200 + 5 * np.sin(np.arange(frames) / 30)[:, None, None]
    loud = np.repeat(opening, SAMPLES_PER_FRAME)
    hum = np.sin(np.arange(len(loud)) * 2 * np.pi * 300 / 16_000)
    hum += 0.3 * rng.standard_normal(len(loud))
    return points.astype(np.float32), (0.1 * loud * hum).clip(-1, 1).astype(np.float32)


def write_clips(folder, count=6, frames=150, split="train"):
    for seed in range(count):
        points, wave = face_and_sound(seed, frames)
        audio = np.round(wave * 32767).astype(np.int16)
        write_lip_clip(folder / split / f"clip{seed}.npz", points, audio, f"mark{seed}")
