"""The motion of a data set of videos, one file a clip, for stage 2 (VASA-1 section 3.2)."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.audio.protocol import num_frames
from vasa_jax.errors import UserError
from vasa_jax.inference.driving import driving_crops
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.inference.progress import Reporter
from vasa_jax.media.audio import open_audio
from vasa_jax.media.files import PendingFile, write_whole
from vasa_jax.media.folders import SOUNDS, find_videos
from vasa_jax.media.places import check_ours, short_path
from vasa_jax.typing import FPS, SAMPLES_PER_FRAME, Float, Frames

SPLITS = ("train", "val", "test")
REPORT_NAME = "report.json"
FORMAT = 1


class Sound(NamedTuple):
    """A frozen audio encoder: its name, and its function from samples to features at 25 Hz."""

    identity: str
    encode: Callable[[np.ndarray], np.ndarray]


class Content(NamedTuple):
    """A clip that was opened: batches of uint8 frames (n, size, size, 3) in their order, sound at
    16 kHz in [-1, 1], and labels by the names that `MotionClips` reads."""

    frames: Iterable[Frames]
    waveform: Float[np.ndarray, " n"]
    labels: Mapping[str, np.ndarray]


class Clip(NamedTuple):
    """A clip to extract. split: one of `SPLITS`. mark(): tells this clip from a later version of
    it, a value that JSON can hold. open(): its content. Both may raise UserError."""

    split: str
    mark: Callable[[], Any]
    open: Callable[[], Content]


class Summary(NamedTuple):
    """Clips written, found finished, and failed; minutes of motion that lie in the folder now;
    why clips failed, by their names."""

    made: int
    skipped: int
    failed: int
    minutes: float
    reasons: dict[str, str]


def split_of(names: list[str], val_share: float) -> dict[str, str]:
    """The split of each clip, by the hash of its first folder: `id/video/clip` keeps a person in
    one split, and further clips move none. At least one group is for training."""
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
    sound: Sound | None = None,
) -> Summary:
    """Write `output`/train|val/NAME.npz for every video, in the form that `MotionClips` reads, and
    `output`/report.json.

    A clip holds motion (t, m), waveform (int16 at 16 kHz) and, with `sound`, its features (t, a);
    it ends where picture or sound end first. audio: a folder with the sound of each video under the
    same path and name, where the videos have none. Finished clips are skipped: those of the same
    source (size and time of change) and model. A bad clip is reported and the rest go on.
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
        )

    clips = {name: clip(name, file) for name, file in files.items()}
    return extract_clips(clips, output, encoder, report, sound=sound)


def extract_clips(
    clips: Mapping[str, Clip],
    output: Path,
    encoder: MotionEncoder,
    report: Reporter,
    *,
    sound: Sound | None = None,
) -> Summary:
    """Write `output`/SPLIT/NAME.npz for every clip, and `output`/report.json; see
    `extract_folder`."""
    check_ours(output / REPORT_NAME, "report of `vasa-jax extract-motion`", _is_report)
    model = encoder.identity + (f"+{sound.identity}" if sound else "")
    counts, frames = {"made": 0, "skipped": 0, "failed": 0}, 0
    reasons: dict[str, str] = {}
    with report.stage("extract", len(clips)) as advance:
        for name, clip in clips.items():
            others = [s for s in SPLITS if s != clip.split]
            file = short_path(name, ".npz")
            places = [output / s / file for s in (clip.split, *others)]
            outcome, arrays, count = "failed", {}, 0
            try:
                for place in places:
                    check_ours(place, "clip of `vasa-jax extract-motion`", _record_of)
                record = {"format": FORMAT, "model": model, "source": clip.mark()}
                count = _finished(places, record)
                if not count:
                    arrays = _arrays(name, clip.open(), encoder, sound)
                outcome = "skipped" if count else "made"
            except UserError as error:
                reasons[name] = str(error)
                report.error(f"{name}: skipped: {error}")
            if outcome == "made":
                count = len(arrays["motion"])
                _write(places[0], arrays, record | {"frames": count})
            if outcome != "skipped":
                # What an older model or source gave must not be taken for this one's.
                for stale in places[1:] if outcome == "made" else places:
                    if _record_of(stale) is not None:
                        stale.unlink()
            counts[outcome] += 1
            frames += count
            report.event("row", clip=name, outcome=outcome, frames=count,
                         message=reasons.get(name, ""))  # fmt: skip
            advance(1)
    minutes = round(frames / FPS / 60, 3)
    summary = Summary(**counts, minutes=minutes, reasons=reasons)
    of = {"model": model, "config": encoder.config.name, "videos": len(clips)}
    _write_report(output / REPORT_NAME, of | summary._asdict())
    report.finish(f"{output}: {summary.made} made, {summary.skipped} already there, "
                  f"{summary.failed} failed, {minutes:.1f} minutes of motion", **counts,
                  minutes=minutes)  # fmt: skip
    return summary


def extract_clip(
    video: Path, heard: Path, encoder: MotionEncoder, sound: Sound | None = None
) -> dict[str, np.ndarray]:
    """The arrays of one clip: motion, waveform and, with `sound`, audio.

    Raises UserError for an unreadable video, no face, no sound, and motion that is not finite.
    """
    return _arrays(str(video), _open_video(video, heard, encoder), encoder, sound)


def _open_video(video: Path, heard: Path, encoder: MotionEncoder) -> Content:
    waveform = open_audio(heard).waveform
    limit = num_frames(len(waveform))
    size = encoder.config.face.image_size
    return Content(driving_crops(video, size, encoder.batch, limit), waveform, {})


def _arrays(
    name: str, content: Content, encoder: MotionEncoder, sound: Sound | None
) -> dict[str, np.ndarray]:
    motion = encoder(content.frames)
    if not np.isfinite(motion).all():
        raise UserError(f"{name}: the face model gives NaN or infinity here; is its checkpoint "
                        "whole?")  # fmt: skip
    waveform = content.waveform[: len(motion) * SAMPLES_PER_FRAME]
    arrays = {"motion": motion, "waveform": _to_int16(waveform), **content.labels}
    if sound is not None:
        arrays["audio"] = sound.encode(waveform)[: len(motion)].astype(np.float32)
    return arrays


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


def _video_mark(video: Path, heard: Path) -> list[list[int]]:
    try:
        stats = [file.stat() for file in (video, heard)]
    except OSError as error:
        raise UserError(f"{video}: cannot be read ({error.strerror or error})") from None
    return [[s.st_size, s.st_mtime_ns] for s in stats]


def _finished(places: list[Path], record: dict) -> int:
    """The frames of a clip that an earlier run made, moved to the first place if it lies at another
    one; 0 if there is none of this record."""
    target = places[0]
    for path in places:
        found = _record_of(path)
        if found is None or {k: found.get(k) for k in record} != record:
            continue
        if path is not target:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        return int(found.get("frames", 0))
    return 0


def _record_of(path: Path) -> dict | None:
    """What a clip of `_write` says of its making; None of any other file, and of none."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = json.loads(str(stored["record"]))
    except Exception:  # zipfile, zlib and numpy each have their own
        return None
    return found if isinstance(found, dict) else None


def _is_report(path: Path) -> bool:
    return {"model", "config", "videos", "minutes"} <= set(json.loads(path.read_text()))


def _write(path: Path, arrays: dict, record: dict) -> None:
    """The clip whole or not at all; the record lies in the same file, so both are true together."""
    pending = PendingFile(path, "clip")
    try:
        with pending.temporary.open("wb") as file:
            np.savez(file, **arrays, record=np.array(json.dumps(record)))
        pending.commit()
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); free some disk "
                        "space, then run the same command again") from None  # fmt: skip
    finally:
        pending.discard()


def _write_report(path: Path, content: dict) -> None:
    write_whole(path, "report", json.dumps(content, indent=1) + "\n")
