"""Hash of a window's audio, which seeds its noise together with the seed.

Not from the paper. The sampler's noise decides how a head moves and when eyes blink far more than
the sound does, so that noise of the seed alone gives one head track to every speech. The number is
of the samples as they would lie in a 16-bit file: exact, the same offline and online, however the
sound is cut into blocks, and 0 for no sound.
"""

import zlib
from itertools import pairwise

import numpy as np

from vasa_jax.audio.samples import Samples
from vasa_jax.typing import SAMPLES_PER_FRAME, Float, UInt

__all__ = ["sound_digest", "sound_digests"]


def sound_digest(samples: Float[np.ndarray, " n"]) -> int:
    """CRC-32 of 16 kHz samples in [-1, 1], rounded to int16 and without the zeros at their end."""
    rounded = np.round(np.clip(np.asarray(samples, np.float64), -1, 1) * 32767).astype("<i2")
    heard = np.flatnonzero(rounded)
    return zlib.crc32(rounded[: heard[-1] + 1].tobytes()) if len(heard) else 0


def sound_digests(
    sound: Samples, first: int, frames: int, window: int
) -> UInt[np.ndarray, " windows"]:
    """Of each window of `window` frames from frame `first` on, `frames` frames in all (uint32)."""
    edges = [*range(first, first + frames, window), first + frames]
    return np.array(
        [
            sound_digest(sound[a * SAMPLES_PER_FRAME : b * SAMPLES_PER_FRAME])
            for a, b in pairwise(edges)
        ],
        np.uint32,
    )
