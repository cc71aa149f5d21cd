"""Motion vectors of every clip of a data set, one file per clip (`vasa-jax extract-motion`)."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.audio.frozen import FrozenEncoder
from vasa_jax.audio.protocol import num_frames
from vasa_jax.audio.samples import Samples
from vasa_jax.errors import UserError
from vasa_jax.inference.driver import Driver
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.inference.progress import Reporter
from vasa_jax.media.audio import open_audio
from vasa_jax.media.files import write_whole
from vasa_jax.media.folders import SOUNDS, find_videos
from vasa_jax.media.places import check_ours
from vasa_jax.training.motion_dataset.files import MotionFolder, StoredPart
from vasa_jax.typing import FPS, SAMPLES_PER_FRAME, Float, Frames

REPORT_NAME = "report.json"
FORMAT = 2
"""Clips of format 1 hold wrong poses where a face left the first frame's square."""
MIN_PART_FRAMES = 10
"""Shorter parts of a clip that had to be split are left out."""


class Content(NamedTuple):
    """An opened clip."""

    frames: Iterable[Frames] | Driver  # batches (n, size, size, 3); a `Driver` knows where to split
    waveform: Samples
    labels: Mapping[str, np.ndarray]  # by the names that `MotionClips` reads


class Clip(NamedTuple):
    """A clip to extract; `mark` and `open` may raise UserError."""

    split: str  # train, val or test
    mark: Callable[[], Any]  # JSON-ready value that differs between versions of the clip
    open: Callable[[], Content]
    parts: bool = False  # whether it may have to be split


class Summary(NamedTuple):
    """What a run did."""

    made: int
    skipped: int  # finished by an earlier run
    failed: int
    minutes: float  # of motion in the folder now
    reasons: dict[str, str]  # clip to why it failed
    split: dict[str, str]  # clip to where it was split


def split_of(names: list[str], val_share: float) -> dict[str, str]:
    """train or val for each clip, by the hash of its first folder.

    All clips of a speaker (`id/video/clip`) are in one split, and new clips move no others. At
    least one speaker is for training.
    """
    groups = {name: name.split("/")[0] for name in names}
    place = {
        group: int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
        for group in groups.values()
    }
    last = max(place.values())
    return {
        name: "val" if place[group] < val_share and place[group] != last else "train"
        for name, group in groups.items()
    }


def extract_folder(
    videos: Path,
    output: Path,
    encoder: MotionEncoder,
    report: Reporter,
    *,
    val_share: float = 0.0,
    audio: Path | None = None,
    sound: FrozenEncoder | None = None,
) -> Summary:
    """Write `output`/train|val/NAME.npz for every video, in the form that `MotionClips` reads, and
    `output`/report.json.

    A clip holds motion (t, m), waveform (int16 at 16 kHz) and, with `sound`, its features (t, a);
    it ends where picture or sound end first. A video whose face goes away, jumps or leaves the
    first frame's square is split there: NAME-START.npz for each part. audio: a folder with the
    sound of each video under the same path and name, where the videos have none. Finished clips are
    skipped: those of the same source (size and time of change) and model. A bad clip is reported
    and the rest go on.
    Raises UserError for a folder without videos, a place that cannot be written, and a val_share
    outside of [0, 1).
    """
    if not 0 <= val_share < 1:
        raise UserError(f"--val-share {val_share:g} must lie in 0..1, 1 excluded")
    found = find_videos(videos)
    if found.left_out:
        report.note(found.note("videos"))
    files = {f.relative_to(videos).as_posix(): f for f in found.files}
    if audio is not None and not Path(audio).is_dir():
        raise UserError(f"{audio}: no such folder of sound files")
    splits = split_of(list(files), val_share)

    def clip(name: str, file: Path) -> Clip:
        return Clip(
            splits[name],
            lambda: _video_mark(file, _sound_file(file, name, audio)),
            lambda: _open_video(file, _sound_file(file, name, audio), encoder),
            parts=True,
        )

    clips = {name: clip(name, file) for name, file in files.items()}
    return extract_clips(clips, output, encoder, report, sound=sound)


def extract_clips(
    clips: Mapping[str, Clip],
    output: Path,
    encoder: MotionEncoder,
    report: Reporter,
    *,
    sound: FrozenEncoder | None = None,
) -> Summary:
    """Write `output`/SPLIT/NAME.npz for every clip, and `output`/report.json; see
    `extract_folder`."""
    check_ours(output / REPORT_NAME, "report of `vasa-jax extract-motion`", _is_report)
    model = encoder.identity + (f"+{sound.identity}" if sound else "")
    counts, frames = {"made": 0, "skipped": 0, "failed": 0}, 0
    reasons: dict[str, str] = {}
    split: dict[str, str] = {}
    folder = MotionFolder(output)
    with report.stage("extract", len(clips)) as advance:
        for name, clip in clips.items():
            outcome, count = "failed", 0
            record: dict[str, Any] = {}
            parts: list[StoredPart] = []
            try:
                folder.check(name, clip.parts)
                record = {"format": FORMAT, "model": model, "source": clip.mark()}
                count = folder.finished(name, clip.split, record, clip.parts)
                if not count:
                    parts, where = _parts(name, clip.open(), encoder, sound)
                    if where:
                        split[name] = where
                        report.note(f"{name}: {where}")
                outcome = "skipped" if count else "made"
            except UserError as error:
                reasons[name] = str(error)
                report.error(f"{name}: skipped: {error}")
            if outcome != "skipped":
                folder.write(name, clip.split, parts, record, clip.parts)
                count = sum(len(part.arrays["motion"]) for part in parts)
            counts[outcome] += 1
            frames += count
            report.event(
                "row",
                clip=name,
                outcome=outcome,
                frames=count,
                message=reasons.get(name, split.get(name, "")),
            )
            advance(1)
    minutes = round(frames / FPS / 60, 3)
    summary = Summary(**counts, minutes=minutes, reasons=reasons, split=split)
    of = {"model": model, "config": encoder.config.name, "videos": len(clips)}
    _write_report(output / REPORT_NAME, of | summary._asdict())
    report.finish(
        f"{output}: {summary.made} made, {summary.skipped} already there, "
        f"{summary.failed} failed, {minutes:.1f} minutes of motion",
        **counts,
        minutes=minutes,
    )
    return summary


def extract_clip(
    video: Path, audio: Path, encoder: MotionEncoder, sound: FrozenEncoder | None = None
) -> list[StoredPart]:
    """The parts of one video with their arrays: motion, waveform and, with `sound`, audio.

    Raises UserError for an unreadable video, no face, no sound, and motion that is not finite.
    """
    return _parts(str(video), _open_video(video, audio, encoder), encoder, sound)[0]


def _open_video(video: Path, audio: Path, encoder: MotionEncoder) -> Content:
    waveform = open_audio(audio).waveform
    limit = num_frames(len(waveform))
    size = encoder.config.face.image_size
    return Content(Driver(video, size, encoder.batch, limit, split=True), waveform, {})


def _parts(
    name: str, content: Content, encoder: MotionEncoder, sound: FrozenEncoder | None
) -> tuple[list[StoredPart], str]:
    """The parts of a clip, and where it was split ("" where it was not)."""
    motion = encoder(content.frames)
    if not np.isfinite(motion).all():
        raise UserError(
            f"{name}: the face model gives NaN or infinity here; is its checkpoint whole?"
        )
    if isinstance(content.frames, Driver):
        count, where = content.frames.count, content.frames.breaks()
        found = content.frames.parts(motion)
        if where:
            found = [(start, rows) for start, rows in found if len(rows) >= MIN_PART_FRAMES]
        if not found:
            raise UserError(
                f"{name}: shows no face for {MIN_PART_FRAMES} frames without a break: {where}"
            )
    else:
        count, where, found = len(motion), "", [(0, motion)]
    waveform = content.waveform[: count * SAMPLES_PER_FRAME]
    # Features of the whole clip: those of a part alone would lack the sound before it.
    features = None if sound is None else sound.encode(waveform).astype(np.float32)
    parts = []
    for start, rows in found:
        stop = start + len(rows)
        samples = waveform[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]
        arrays = {"motion": rows, "waveform": _to_int16(samples), **content.labels}
        if features is not None:
            arrays["audio"] = features[start:stop]
        parts.append(StoredPart(start, arrays))
    return parts, where


def _to_int16(waveform: Float[np.ndarray, " n"]) -> np.ndarray:
    return np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)


def _sound_file(video: Path, name: str, audio: Path | None) -> Path:
    if audio is None:
        return video
    stem = (Path(audio) / name).with_suffix("")
    for suffix in SOUNDS:
        if (found := stem.with_suffix(suffix)).is_file():
            return found
    raise UserError(f"{stem}.*: no sound of this name ({', '.join(SOUNDS[:7])}, ...)")


def _video_mark(video: Path, audio: Path) -> list[list[int]]:
    try:
        stats = [file.stat() for file in (video, audio)]
    except OSError as error:
        raise UserError(f"{video}: cannot be read ({error.strerror or error})") from None
    return [[s.st_size, s.st_mtime_ns] for s in stats]


def _is_report(path: Path) -> bool:
    return {"model", "config", "videos", "minutes"} <= set(json.loads(path.read_text()))


def _write_report(path: Path, content: dict) -> None:
    write_whole(path, "report", json.dumps(content, indent=1) + "\n")
