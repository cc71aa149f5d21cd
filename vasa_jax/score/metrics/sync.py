"""Lip sync by networks: SyncNet (Chung and Zisserman 2016) with given weights, and ours."""

from itertools import islice

import numpy as np

from vasa_jax.data_pipeline.prepare.sound import cut_sound
from vasa_jax.media.video import read_video
from vasa_jax.score.types import Metric, NotMeasured, Spec, Tools, Track
from vasa_jax.sync.distances import SyncScore
from vasa_jax.sync.syncnet_crop import SIDE, crop_faces, face_boxes
from vasa_jax.typing import SAMPLES_PER_FRAME, Float, UInt8

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
LONGEST = 1500
"""Frames (60 s) that SyncNet sees: its crops take 226 MB."""


def longest_run(found: np.ndarray) -> slice:
    """The longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], found.astype(int), [0]])))
    starts, stops = edges[::2], edges[1::2]
    best = int(np.argmax(stops - starts))
    return slice(int(starts[best]), int(stops[best]))


def face_and_sound(track: Track) -> Float[np.ndarray, " n"]:
    """The sound under the pictures. Raises NotMeasured for a video in which no face is found,
    without a sound track, or whose sound is silence."""
    track.found()
    sound = track.sound()
    if not np.abs(sound).max(initial=0) > 0:
        raise NotMeasured("the sound is silence")
    return sound


def av_sync(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """By the landmarks; the sound has been through the fixed codec."""
    sound = face_and_sound(track)
    score = tools("av_sync")
    return _figures("av_sync", score(np.asarray(track.landmarks), tools("codec")(sound)))


def syncnet(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
    """Of the longest run of frames with a face and sound, `LONGEST` of them at most.

    Pictures and sound have been through the fixed codec. Raises NotMeasured for a run below a
    second.
    """
    score = tools("syncnet")
    sound = face_and_sound(track)
    found = track.found().copy()
    found[len(sound) // SAMPLES_PER_FRAME :] = False
    run = longest_run(found) if found.any() else slice(0, 0)
    if run.stop - run.start < MIN_FRAMES:
        raise NotMeasured(f"no face and sound in {MIN_FRAMES} consecutive frames")
    run = slice(run.start, min(run.stop, run.start + LONGEST))
    heard = tools("codec")(sound)[run.start * SAMPLES_PER_FRAME : run.stop * SAMPLES_PER_FRAME]
    return _figures("syncnet", score(_crops(track, run), cut_sound(heard, 0, run.stop - run.start)))


def _crops(track: Track, run: slice) -> UInt8[np.ndarray, "t 224 224 3"]:
    if track.copy is None:
        raise NotMeasured("its frames were not kept")
    boxes = face_boxes(track.landmarks[run])
    frames = islice(read_video(track.copy), run.start, run.stop)
    crops = np.empty((len(boxes), SIDE, SIDE, 3), np.uint8)
    count = 0
    for count, crop in enumerate(crop_faces(frames, boxes), 1):
        crops[count - 1] = crop
    return crops[:count]


def _figures(name: str, found: SyncScore) -> dict[str, float]:
    """Nothing where the network says that it cannot be measured."""
    if not found.measured:
        raise NotMeasured("too short, too seldom a face, or silence")
    return {
        f"{name}_confidence": found.confidence,
        f"{name}_distance": found.distance,
        f"{name}_offset": float(found.offset),
    }


AV_SYNC_METRIC = Metric("av_sync", AV_SYNC, av_sync)
SYNCNET_METRIC = Metric("SyncNet", SYNCNET, syncnet)
