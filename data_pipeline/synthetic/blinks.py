"""When eyes blink, and how."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, smooth
from vasa_jax.typing import Float

TALKING_RATE, IDLE_RATE = 22.0, 17.0
"""Blinks a minute. Bentivoglio et al. 1997 measured 26 in conversation, 17 at rest, 4.5 reading,
log-normal over people."""
LEAST_GAP = 1.2
SNAPPED = 0.6
"""Share of blinks moved to a near edge of a pause: people blink at pauses and at the ends of what
they say (Nakano & Kitazawa 2010)."""
_CLOSE, _SHUT, _OPEN = 0.085, 0.045, 0.2
"""Seconds. Closing takes about 90 ms and opening 240 (Trutoiu et al. 2011); a frame at 25 fps
always falls into the closed part."""


def blink_times(
    rng: np.random.Generator, prosody: Prosody, personal: float = 1.0
) -> Float[np.ndarray, " k"]:
    """Seconds at which blinks begin. Gaps are log-normal, at least `LEAST_GAP` long.

    personal: factor of this person's rate.
    """
    seconds = len(prosody.loudness) / RATE
    talking = smooth(prosody.speaking, 0.4) > 0.25
    edges = np.flatnonzero(np.diff(talking.astype(int)) != 0) / RATE
    times: list[float] = []
    clock = rng.uniform(0.0, 60 / TALKING_RATE)
    while clock < seconds - _CLOSE:
        at = clock
        if len(edges) and rng.random() < SNAPPED:
            near = edges[np.argmin(np.abs(edges - at))]
            if abs(near - at) < 0.8:
                at = max(0.0, near + rng.uniform(-0.08, 0.12))
        if not times or at - times[-1] >= LEAST_GAP:
            times.append(at)
            clock = max(clock, at)
        rate = TALKING_RATE if talking[min(int(clock * RATE), len(talking) - 1)] else IDLE_RATE
        mean = max(60 / (rate * personal) - LEAST_GAP, 0.3)
        clock += LEAST_GAP + rng.lognormal(np.log(mean) - 0.5 * 0.7**2, 0.7)
    return np.array(times)


def blink_curve(times: Float[np.ndarray, " k"], count: int) -> Float[np.ndarray, " r"]:
    """How far lids are shut at each of `count` steps of 100 Hz, 0 to 1. Every blink is full: a
    part-closed one looks least natural (Trutoiu et al. 2011)."""
    clock = (np.arange(count) + 0.5) / RATE
    out = np.zeros(count)
    for time in times:
        down = np.clip((clock - time) / _CLOSE, 0, 1)
        up = np.clip((clock - time - _CLOSE - _SHUT) / _OPEN, 0, 1)
        # Lids are fastest early on the way up and then creep.
        lid = (0.5 - 0.5 * np.cos(np.pi * down)) * (1 - np.sin(0.5 * np.pi * up) ** 1.5)
        out = np.maximum(out, lid)
    return out
