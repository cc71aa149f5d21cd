"""The preparation of one video, in this process, a worker process or a Beam worker."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from vasa_jax.audio.samples import Samples
from vasa_jax.data_pipeline.clip import Clip, read_clip, write_clip
from vasa_jax.data_pipeline.loading.image_codec import encode_jpeg, encode_png
from vasa_jax.data_pipeline.prepare import crop, sound, sync
from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.data_pipeline.prepare.options import PrepareOptions
from vasa_jax.data_pipeline.prepare.probe import StreamInfo, one_field, probe_stream
from vasa_jax.data_pipeline.prepare.quality import frame_quality, worst_tenth
from vasa_jax.data_pipeline.prepare.report import (
    STEPS,
    Discard,
    KeptClip,
    SourceReport,
    from_json,
    to_json,
    write_json,
)
from vasa_jax.data_pipeline.prepare.segments import NO_FACE, Stretch, stretches
from vasa_jax.data_pipeline.prepare.sources import CLIP_ENDING, Source
from vasa_jax.errors import UserError
from vasa_jax.media.audio import open_audio
from vasa_jax.media.places import check_ours
from vasa_jax.media.video import read_video
from vasa_jax.perception.face_tracker import FaceTracker
from vasa_jax.perception.shots import ShotDetector
from vasa_jax.typing import EMOTIONS, Float, PortraitArray, UInt8

CLIPS, RECORDS = "clips", "records"
_SAID = (
    ("crop", "box"),
    ("sound", "loudness"),
    ("quality", "quality"),
    ("sync", "lag"),
    ("labels", "emotion"),
    ("labels", "distance"),
    ("masks", "person"),
)
"""Clip facts that each step prints."""
LEAST_COVERED = 0.5
"""Least share of face landmarks inside a valid person mask; real portraits have 0.99 or more."""


def prepare_source(
    source: Source, out: Path, options: PrepareOptions, labellers: Labellers
) -> SourceReport:
    """Cut one video into labelled clips: out/clips/NAME-FRAME.npz, and out/records/NAME.json.

    A video that is as an earlier run with the same options found it is skipped, and its report read
    back. Memory is that of one clip, and 4 bytes a sample of the sound. Never raises UserError for
    what is wrong with the video: that is in the report. Raises it for missing weights, a plug-in
    that breaks its contract and a folder that cannot be written.
    """
    record_path = out / RECORDS / f"{source.name}.json"
    try:
        stat = source.path.stat()
        state = [stat.st_size, stat.st_mtime_ns]
    except OSError as error:
        message = f"cannot be read ({error.strerror or error})"
        return failed(source, message)
    key = {
        "options": options.digest(json.dumps(labellers.names, sort_keys=True)),
        "state": state,
        "identity": source.identity,
    }
    check_ours(record_path, "record of `vasa-jax prepare`", _is_record)
    earlier = _earlier(record_path)
    if earlier is not None:
        found_key, report = earlier
        files = [out / CLIPS / clip.file for clip in report.clips]
        if found_key == key and all(file.is_file() for file in files):
            return report._replace(outcome="skipped" if report.outcome == "made" else "failed")
        record_path.unlink(missing_ok=True)
        for file in files:
            file.unlink(missing_ok=True)
    labellers.load()
    report = _Job(source, out, options, labellers).run()
    write_json(record_path, {"key": key, "report": to_json(report)})
    return report


def failed(source: Source, message: str) -> SourceReport:
    """The report of a video of which nothing could be made."""
    return SourceReport(
        source.name,
        source.identity,
        "failed",
        discards=(Discard("read", "unreadable", detail=message),),
        message=message,
    )


def _is_record(path: Path) -> bool:
    return {"key", "report"} <= set(json.loads(path.read_text()))


def _earlier(path: Path) -> tuple[dict, SourceReport] | None:
    try:
        content = json.loads(path.read_text())
        return content["key"], from_json(content["report"])
    except (OSError, ValueError, LookupError, TypeError):  # none, or not ours: made anew
        return None


class _Job:
    def __init__(self, source: Source, out: Path, options: PrepareOptions, labellers: Labellers):
        self.source, self.out, self.options, self.labellers = source, out, options, labellers
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, str] = {}
        self.clips: list[KeptClip] = []
        self.discards: list[Discard] = []
        self.frames = self.shots = 0

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start

    def run(self) -> SourceReport:
        start = time.perf_counter()
        try:
            with self.timed("read"):
                facts = probe_stream(self.source.path)
                frames = _frames(self.source.path, facts)
        except UserError as error:
            return self._failed("unreadable", str(error))
        self.lines["read"] = f"{facts.size[0]}x{facts.size[1]}, {facts.fps:.5g} frames/s"
        try:
            with self.timed("sound"):
                wave = open_audio(self.source.path).waveform
        except UserError as error:
            no_track = "no audio" in str(error)
            return self._failed("no audio" if no_track else "unreadable sound", str(error), "sound")
        # A second reader follows the first with the pixels: a clip's box is known only at its end,
        # and ten seconds of large frames are more than a worker may hold.
        behind, position = _frames(self.source.path, facts), 0
        try:
            for stretch in stretches(
                self._seen(frames), self.options.min_frames, self.options.max_frames
            ):
                if stretch.landmarks is None:
                    self.discards.append(
                        Discard("track", stretch.reason, stretch.start, stretch.stop)
                    )
                    continue
                stop = min(stretch.stop, sound.frames_with_sound(wave))
                if stop - stretch.start < self.options.min_frames:
                    self._drop(stretch, "sound", "sound ends early")
                    continue
                if stop < stretch.stop:
                    self.discards.append(Discard("sound", "sound ends early", stop, stretch.stop))
                landmarks = stretch.landmarks[: stop - stretch.start]
                part = Stretch(stretch.start, stop, landmarks)
                with self.timed("read"):
                    for _ in islice(behind, part.start - position):
                        pass
                position = part.start
                position += self._clip(part, landmarks, behind, wave)
        except _Unreadable as error:
            self.discards.append(
                Discard("read", "unreadable", self.frames, self.frames, str(error))
            )
        self._tell()
        self.seconds["all"] = time.perf_counter() - start
        reasons = {d.reason for d in self.discards}
        message = "" if self.clips else "; ".join(sorted(reasons)) or NO_FACE
        return self._report("made", facts.notes, message)

    def _failed(self, reason: str, message: str, step: str = "read") -> SourceReport:
        self.discards.append(Discard(step, reason, detail=message))
        return self._report("failed", (), f"{reason}: {message}")

    def _report(self, outcome: str, notes: tuple[str, ...], message: str) -> SourceReport:
        return SourceReport(
            name=self.source.name,
            identity=self.source.identity,
            outcome=outcome,
            frames=self.frames,
            clips=tuple(self.clips),
            discards=tuple(self.discards),
            notes=notes,
            lines={step: self.lines[step] for step in STEPS if step in self.lines},
            seconds={step: round(value, 3) for step, value in self.seconds.items()},
            message=message,
        )

    def _seen(self, frames: Iterator[PortraitArray]):
        """(whether a shot begins, the tracked face) of every frame, for `stretches`."""
        shots = ShotDetector(self.options.shot_threshold)
        tracker = FaceTracker(self.options.detect_every, self.options.other_face)
        while True:
            with self.timed("read"):
                try:
                    frame = next(frames, None)
                except UserError as error:
                    raise _Unreadable(str(error)) from None
            if frame is None:
                return
            with self.timed("shots"):
                cut = shots(frame)
            if cut:
                self.shots += 1
                tracker.restart()
            with self.timed("track"):
                seen = tracker(frame)
            self.frames += 1
            yield cut, seen

    def _clip(
        self,
        part: Stretch,
        landmarks: Float[np.ndarray, "n 478 3"],
        frames: Iterator[PortraitArray],
        wave: Samples,
    ) -> int:
        """Make one clip of a stretch, or discard it. Returns how many frames were read."""
        options = self.options
        face = crop.face_side(landmarks)
        if face < options.least_face:
            detail = f"{face:.0f} px, wanted {options.least_face:.0f}"
            self._drop(part, "crop", "face too small", detail)
            return 0
        audio = sound.cut_sound(wave, part.start, part.stop)
        loudness = sound.loudness(audio)
        if loudness < options.min_loudness:
            self._drop(part, "sound", "silent", f"{loudness:.0f} dB")
            return 0
        with self.timed("sync"):
            opening = sync.mouth_opening(landmarks)
            found = sync.measure(opening, sound.energy(audio), options.max_lag)
            reason = sync.judge(found, options.max_lag, options.need_moving_mouth)
        if reason:
            detail = f"lag {found.lag:+d} frames, correlation {found.correlation:.2f}"
            self._drop(part, "sync", reason, detail)
            return 0
        with self.timed("read"):
            first = next(frames)
        box = crop.fixed_box(
            landmarks, first.shape[0], first.shape[1], options.margin_jitter, self._rng(part)
        )
        outside = crop.outside_share(box, *first.shape[:2])
        if outside > options.max_outside:
            detail = f"{outside:.0%} of the box lie outside"
            self._drop(part, "crop", "face leaves the picture", detail)
            return 1
        pictures = self._pictures(part, box, first, frames)
        with self.timed("quality"):
            quality = worst_tenth(frame_quality(pictures))
        if not quality >= options.min_quality:  # not a number is no quality either
            detail = f"{quality:.0f}, wanted {options.min_quality:.0f}"
            self._drop(part, "quality", "poor picture", detail)
            return len(pictures)
        with self.timed("labels"):
            marks = crop.to_crop(landmarks, box, options.size)
            labels = self.labellers.label(pictures, marks)
        with self.timed("masks"):
            masks = self.labellers.masks(pictures, marks)
            covered = _covered(masks, marks)
        if covered < LEAST_COVERED:
            detail = f"{covered:.0%} of the face lie in the mask"
            self._drop(part, "masks", "face outside of its mask", detail)
            return len(pictures)
        file = self.source.name + CLIP_ENDING.format(part.start)
        name = file.removesuffix(".npz")
        with self.timed("write"):
            clip = Clip(
                clip_id=name,
                identity=self.source.identity,
                size=options.size,
                frames=[encode_jpeg(picture, options.jpeg_quality) for picture in pictures],
                audio=audio,
                masks=[encode_png(mask) for mask in masks],
                quality=quality,
                **labels,
            )
            check_ours(self.out / CLIPS / file, "clip of `vasa-jax prepare`", read_clip)
            write_clip(self.out / CLIPS / file, clip)
        facts = {
            "face": round(face, 1),
            "box": list(box),
            "outside": round(outside, 3),
            "loudness": round(loudness, 1),
            "quality": round(float(quality), 1),
            "lag": found.lag,
            "correlation": round(found.correlation, 3),
            "distance": round(float(labels["distance"]), 3),
            "emotion": EMOTIONS[int(np.argmax(labels["emotion"]))],
            "person": round(float(masks.mean()) / 255, 3),
        }
        self.clips.append(KeptClip(file, part.start, part.stop, facts))
        return len(pictures)

    def _pictures(self, part: Stretch, box: crop.Box, first: np.ndarray, frames) -> np.ndarray:
        size = self.options.size
        pictures = np.empty((part.stop - part.start, size, size, 3), np.uint8)
        frame = first
        for number in range(len(pictures)):
            if number:
                with self.timed("read"):
                    frame = next(frames)
            with self.timed("crop"):
                pictures[number] = crop.cut(frame, box, size)
        return pictures

    def _rng(self, part: Stretch) -> np.random.Generator:
        name = hashlib.sha256(self.source.name.encode()).digest()
        return np.random.default_rng((self.options.seed, int.from_bytes(name[:8]), part.start))

    def _drop(self, part: Stretch, step: str, reason: str, detail: str = "") -> None:
        self.discards.append(Discard(step, reason, part.start, part.stop, detail))

    def _tell(self) -> None:
        """A line for every step; see `SourceReport.lines`."""
        for step in ("track", "crop", "sound", "quality", "sync"):
            lost: dict[str, int] = {}
            for discard in self.discards:
                if discard.step == step:
                    count = discard.stop - discard.start
                    lost[discard.reason] = lost.get(discard.reason, 0) + count
            self.lines[step] = ", ".join(f"{r}: {n} frames" for r, n in lost.items()) or "kept all"
        self.lines["shots"] = f"{self.shots} in {self.frames} frames"
        for step, key in _SAID:
            values = [str(clip.facts[key]) for clip in self.clips]
            if values:
                line = self.lines.get(step, "")
                self.lines[step] = f"{line}{'; ' if line else ''}{key} {', '.join(values)}"


def _covered(masks: UInt8[np.ndarray, "t h w"], landmarks: Float[np.ndarray, "t 478 3"]) -> float:
    """The mean of a clip's masks at its face's landmarks, 0 to 1."""
    height, width = masks.shape[1:]
    x, y = np.round(landmarks[..., :2]).astype(int).transpose(2, 0, 1)
    frame = np.arange(len(masks))[:, None]
    return float(masks[frame, y.clip(0, height - 1), x.clip(0, width - 1)].mean()) / 255


class _Unreadable(Exception):
    """Decoding failed in the middle of the video; earlier clips are kept."""


def _frames(path: Path, facts: StreamInfo) -> Iterator[PortraitArray]:
    frames = read_video(path)
    return (one_field(frame) for frame in frames) if facts.interlaced else frames
