"""Lip sync by networks: SyncNet (Chung and Zisserman 2016) with given weights, and ours."""

import numpy as np

from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.typing import SAMPLES_PER_FRAME

_OWN = "own network on landmarks and sound, trained on synthetic heads (`vasa-jax train sync`)"
_NET = "syncnet_python's definition with its public weights (--syncnet), after one fixed codec"
SYNCNET = {
    "syncnet_confidence": Spec("SC, SyncNet's confidence", "", "high", _NET),
    "syncnet_distance": Spec("SD, SyncNet's distance", "", "low", _NET),
    "syncnet_offset": Spec("SyncNet's offset", "frames", "0", _NET),
}
AV_SYNC = {
    "av_sync_confidence": Spec("av_sync confidence", "", "high", _OWN),
    "av_sync_distance": Spec("av_sync distance", "", "low", _OWN),
    "av_sync_offset": Spec("av_sync offset", "frames", "0", _OWN),
}
MIN_FRAMES = 25


def longest_run(found: np.ndarray) -> slice:
    """The longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], found.astype(int), [0]])))
    starts, stops = edges[::2], edges[1::2]
    best = int(np.argmax(stops - starts))
    return slice(int(starts[best]), int(stops[best]))


def seen_and_heard(track: Track) -> slice:
    """The longest run of frames with a face and sound.

    Raises NotMeasured where it is shorter than a second, and for sound that is silence throughout.
    """
    found, sound = track.found().copy(), track.sound()
    found[len(sound) // SAMPLES_PER_FRAME :] = False
    if not found.any() or (run := longest_run(found)).stop - run.start < MIN_FRAMES:
        raise NotMeasured(f"no face and sound in {MIN_FRAMES} consecutive frames")
    if not np.abs(sound).max() > 0:
        raise NotMeasured("the sound is silence")
    return run


def av_sync(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Of the longest run with a face; the sound has been through the fixed codec."""
    run = seen_and_heard(track)
    score = tools("av_sync")
    heard = tools("codec")(track.sound())
    part = heard[run.start * SAMPLES_PER_FRAME : run.stop * SAMPLES_PER_FRAME]
    return _figures("av_sync", score(np.asarray(track.landmarks[run]), part))


def syncnet(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Of the longest run with a face, pictures and sound having been through the fixed codec."""
    score = tools("syncnet")
    return _figures("syncnet", score(track, seen_and_heard(track), tools))


def _figures(name: str, found) -> dict[str, float]:
    return {
        f"{name}_confidence": found.confidence,
        f"{name}_distance": found.distance,
        f"{name}_offset": found.offset,
    }


AV_SYNC_METRIC = Metric("av_sync", AV_SYNC, av_sync)
SYNCNET_METRIC = Metric("SyncNet", SYNCNET, syncnet)
