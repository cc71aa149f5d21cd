"""What real cameras, trackers, rooms and people add to synthetic lips and sound."""

import numpy as np

from vasa_jax.audio.augment import augment_channel
from vasa_jax.sync.lips import mirrored
from vasa_jax.typing import SAMPLES_PER_FRAME, Float

__all__ = ["augment_clip", "augment_lips"]

SPEED = 1.2
"""Largest factor of a clip's speed, up or down; pitch and formants change with it."""
REVERB_SHARE = 0.4
"""Share of clips whose sound gets the tail of a room."""
_DECAY = (0.1, 0.6)  # seconds to -60 dB
_WET = (0.02, 0.4)  # energy of the tail over that of the direct sound


def augment_clip(
    rng: np.random.Generator, lips: Float[np.ndarray, "t p 3"], wave: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "u p 3"], Float[np.ndarray, " m"]]:
    """A clip at another speed, through another room and channel. wave: t * 640 samples."""
    frames = len(lips)
    speed = SPEED ** rng.uniform(-1, 1)
    count = int(frames / speed)
    # Frame i covers the samples of [i, i + 1); its lips were seen in the middle.
    seen = ((np.arange(count) + 0.5) * speed - 0.5).clip(0, frames - 1)
    low = np.minimum(seen.astype(int), frames - 2) if frames > 1 else np.zeros(count, int)
    share = (seen - low)[:, None, None].astype(np.float32)
    high = np.minimum(low + 1, frames - 1)
    slower = (1 - share) * lips[low] + share * lips[high]
    places = np.arange(count * SAMPLES_PER_FRAME) * speed
    sound = np.interp(places, np.arange(len(wave)), wave).astype(np.float32)
    if rng.random() < REVERB_SHARE:
        sound = _in_a_room(rng, sound)
    return slower, augment_channel(rng, sound)


def _in_a_room(rng, wave):
    """Exponentially decaying noise after the direct sound (a statistical room: Polack 1988)."""
    seconds = rng.uniform(*_DECAY)
    at = np.arange(int(16_000 * seconds))
    tail = rng.standard_normal(len(at)) * 10 ** (-3 * at / len(at))
    tail *= np.sqrt(rng.uniform(*_WET) / np.square(tail).sum())
    tail[0] = 1.0
    size = len(wave) + len(tail)
    found = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail, size), size)
    return found[: len(wave)].astype(np.float32)


def augment_lips(
    rng: np.random.Generator, lips: Float[np.ndarray, "t p 3"]
) -> Float[np.ndarray, "t p 3"]:
    """Another person's reach, an inexact pose, a noisy tracker, missing and repeated frames.

    lips: of a stretch, in centimetres.
    """
    count, points = lips.shape[:2]
    if rng.random() < 0.5:
        lips = mirrored(lips)
    mean = lips.mean(0)
    reach = np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.12, (points, 3)))
    moved = (lips - mean) * reach.astype(np.float32)
    # The head's pose is known within some degrees, and its error drifts.
    turn = rng.normal(0, 0.12, (3, 3)).astype(np.float32)
    moved = moved @ (np.eye(3, dtype=np.float32) + turn)
    drift = _slow(rng, count, 9) * np.float32(rng.uniform(0, 0.02))
    moved += np.einsum("tij,pj->tpi", drift.reshape(count, 3, 3), mean - mean.mean(0))
    moved += _slow(rng, count, 3)[:, None] * np.float32(rng.uniform(0, 0.08))
    moved += rng.normal(0, rng.uniform(0.005, 0.06), moved.shape).astype(np.float32)
    # Jitter that all points share: the tracker's box.
    moved += rng.normal(0, rng.uniform(0.002, 0.04), (count, 1, 3)).astype(np.float32)
    if rng.random() < 0.3:  # trackers smooth
        side = rng.uniform(0.1, 0.33)
        moved[1:-1] = side * (moved[:-2] + moved[2:]) + (1 - 2 * side) * moved[1:-1]
    if rng.random() < 0.3:  # pictures of fewer a second, or from another rate
        kept = np.arange(count)
        lost = rng.random(count) < rng.uniform(0.02, 0.3)
        moved = moved[np.maximum.accumulate(np.where(lost, 0, kept))]  # the first is never lost
    return moved.astype(np.float32)


def _slow(rng, count, width):
    """(count, width) smooth noise of unit size, a second or so from bend to bend."""
    knots = rng.standard_normal((count // 20 + 3, width))
    at = np.arange(count) / 20 + rng.uniform(0, 1)
    low = at.astype(int)
    share = (1 - np.cos(np.pi * (at - low))) / 2
    return ((1 - share)[:, None] * knots[low] + share[:, None] * knots[low + 1]).astype(np.float32)
