"""Goes through the videos of all systems: each is decoded once, and what is known is not read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vasa_jax.cache import temporary_folder
from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.errors import UserError
from vasa_jax.inference.progress import Reporter
from vasa_jax.media.video import probe
from vasa_jax.score.cache import Cache, Entry
from vasa_jax.score.pairing import REAL, Group, Video
from vasa_jax.score.reading import ReadOptions, read_track
from vasa_jax.score.strips import strip
from vasa_jax.score.types import Metric, Tools, Track, score_track
from vasa_jax.typing import FPS

MOUTH_FRAMES = 500
"""Of the curve that is kept for the plots: 20 s."""


class Result(NamedTuple):
    """What was found of a video: an entry, or why it cannot be read."""

    video: Video
    entry: Entry | None
    error: str = ""


class Run(NamedTuple):
    """How videos are measured."""

    metrics: tuple[Metric, ...]
    tools: Tools
    labellers: Labellers
    options: ReadOptions
    cache: Cache
    copies: bool = False  # whether a metric needs all frames after their decode (SyncNet)
    codec: bool = True  # whether these, kept in a temporary video, go through the fixed codec


def score_groups(groups: Sequence[Group], run: Run, progress: Reporter) -> list[Result]:
    """The results of all videos, those of a group together, the real one first.

    Only one real video and one other are held at a time. A video that cannot be read becomes a
    result with an error, and a line of `progress`; what is compared with it is measured alone.
    """
    known = [_known(group, run.cache) for group in groups]
    waiting = [
        video.path
        for group, entries in zip(groups, known, strict=True)
        for video in _members(group)
        if _needed(video, group, entries)
    ]
    results: list[Result] = []
    with progress.stage("videos", sum(map(_length, waiting))) as advance:
        for group, entries in zip(groups, known, strict=True):
            results += _score_group(group, entries, run, advance)
    for result in results:
        if result.error:
            progress.error(f"not measured: {result.error}")
    return results


def _members(group: Group) -> tuple[Video, ...]:
    return (group.real, *group.videos) if group.real is not None else group.videos


def _key(video: Video, group: Group, cache: Cache) -> str:
    paired = group.real is not None and video.system != REAL
    return cache.key(video.path, group.real.path if paired and group.real else None)


def _known(group: Group, cache: Cache) -> dict[Video, Entry]:
    found: dict[Video, Entry] = {}
    for video in _members(group):
        try:
            entry = cache.read(_key(video, group, cache))
        except UserError:  # it is said when the video is read
            continue
        if entry is not None:
            found[video] = entry
    return found


def _needed(video: Video, group: Group, entries: dict[Video, Entry]) -> bool:
    """Whether a video is to be decoded: a real one also for those that are compared with it."""
    if video not in entries:
        return True
    return video == group.real and any(other not in entries for other in group.videos)


def _length(path: Path) -> int:
    try:
        return max(round(probe(path).seconds * FPS), 1)
    except UserError:
        return 1


def _score_group(
    group: Group, entries: dict[Video, Entry], run: Run, advance: Callable[[int], None]
) -> list[Result]:
    real: Track | None = None
    results = []
    for video in _members(group):
        if not _needed(video, group, entries):
            results.append(Result(video, entries[video]))
            continue
        try:
            entry = entries.get(video)
            with _copy(run.copies and run.codec and entry is None) as copy:
                track = read_track(video.path, run.labellers, run.options, advance, copy)
                if run.copies and not run.codec:
                    track = track._replace(copy=video.path)
                if video == group.real:
                    real = track
                if entry is None:
                    entry = measure(run, track, None if video == group.real else real)
                    # Measured alone for want of a real video that can be read: not for good.
                    if video == group.real or group.real is None or real is not None:
                        run.cache.write(_key(video, group, run.cache), entry)
            results.append(Result(video, entry))
        except UserError as error:
            results.append(Result(video, None, str(error)))
    return results


@contextmanager
def _copy(wanted: bool) -> Iterator[Path | None]:
    """A place for the copy of a video in the fixed codec, gone after the block."""
    if not wanted:
        yield None
        return
    with temporary_folder() as folder:
        yield folder / "copy.mp4"


def measure(run: Run, track: Track, reference: Track | None) -> Entry:
    """All that is kept of a video."""
    scores = score_track(run.metrics, track, reference, run.tools)
    features = [] if track.features is None else np.asarray(track.features, float).tolist()
    mouth = np.asarray(track.faces.mouth[:MOUTH_FRAMES], float)
    return Entry(
        values=scores.values,
        reasons=scores.reasons,
        frames=track.frames,
        found=float(track.faces.found().mean()),
        features=features,
        mouth=[float(m) if np.isfinite(m) else None for m in mouth],
        strip=strip(track),
    )
