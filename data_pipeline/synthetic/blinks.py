"""Times and shapes of eye blinks."""

import numpy as np

from vasa_jax.data_pipeline.synthetic.prosody import RATE, Prosody, smooth
from vasa_jax.typing import Float

TALKING_RATE, IDLE_RATE = 30.0, 17.0
"""Blinks a minute, log-normal over people (Bentivoglio et al. 1997: 26 and 17)."""
LEAST_GAP = 0.8
SNAPPED = 0.75
"""Share of blinks moved to pauses (Nakano & Kitazawa 2010) or to stressed syllables."""
_NEAR_PAUSE, _NEAR_ACCENT = 0.8, 0.5
"""Seconds within which a pause, or else an accent, draws a blink."""
_AFTER_ACCENT = 0.2
_CLOSE, _SHUT, _OPEN = 0.08, 0.045, 0.17
"""Seconds (Trutoiu et al. 2011: closing 90 ms, opening 240); a frame at 25 fps always meets the
closed part."""


def blink_times(
    rng: np.random.Generator,
    prosody: Prosody,
    personal: float = 1.0,
    accents: Float[np.ndarray, " a"] | None = None,
) -> Float[np.ndarray, " k"]:
    """Seconds at which blinks begin. Gaps are log-normal, at least `LEAST_GAP` long.

    personal: factor of this person's rate. accents: seconds of accented syllables, if known.
    """
    seconds = len(prosody.loudness) / RATE
    talking = smooth(prosody.speaking, 0.4) > 0.25
    speaks = smooth(prosody.speaking, 0.08) > 0.35
    edges = np.flatnonzero(np.diff(speaks.astype(int)) != 0) / RATE
    stressed = np.zeros(0) if accents is None else accents + _AFTER_ACCENT
    times: list[float] = []
    clock = rng.uniform(0.0, 60 / TALKING_RATE)
    while clock < seconds - _CLOSE:
        at = clock
        if rng.random() < SNAPPED:
            for heard, reach in ((edges, _NEAR_PAUSE), (stressed, _NEAR_ACCENT)):
                near = heard[np.argmin(np.abs(heard - at))] if len(heard) else np.inf
                if abs(near - at) < reach:
                    at = max(0.0, near + rng.uniform(-0.06, 0.1))
                    break
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
