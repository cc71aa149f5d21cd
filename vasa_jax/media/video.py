"""Video in: any clip as upright RGB frames at a constant 25 fps (PyAV)."""

import json
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.colour import colours_of, to_srgb
from vasa_jax.media.demux import (
    MAX_GAP_SECONDS,
    decodable_streams,
    decoded_frames,
    is_cover,
    media_errors,
    open_media,
    time_zero,
)
from vasa_jax.media.orientation import SWAPPED, UPRIGHT, orientation_of_matrix, turn
from vasa_jax.media.writer import VideoWriter, frame_count
from vasa_jax.typing import FPS, PortraitArray

__all__ = ["VideoInfo", "VideoWriter", "frame_count", "probe", "read_metadata", "read_video"]

_MIN_SIDE, _MAX_SIDE = 16, 8192
_ADVICE = "make sure that it is a complete video, or convert it to MP4"
# Matroska's clock ticks in ms, so the end of a clip may seem that much later than it is.
_TICK_SECONDS = 0.002


class VideoInfo(NamedTuple):
    """What a player shows: size after rotation and pixel aspect, and the source's own timing."""

    # width, height: pixels as `read_video` gives them.
    width: int
    height: int
    fps: float  # average frame rate of the source (not 25)
    frames: int  # number of frames in the source: stated by the file, else from its length
    seconds: float  # length of the picture track
    has_audio: bool  # whether there is an audio track


class _Reader:
    """An open video: its stream, its first frame and its geometry. Raises UserError."""

    def __init__(self, path: str | os.PathLike):
        self.name = os.fspath(path)
        self.container = open_media(path, "video")
        try:
            with media_errors(self.name, _ADVICE):
                self._prepare(path)
        except BaseException:
            self.container.close()
            raise

    def _prepare(self, path: str | os.PathLike) -> None:
        self.first = self._choose(path)
        width, height = self.first.width, self.first.height
        if min(width, height) < _MIN_SIDE or max(width, height) > _MAX_SIDE:
            raise UserError(
                f"{self.name!r} is {width}x{height} px, outside {_MIN_SIDE}..{_MAX_SIDE}; resize it"
            )
        # The container's word on the shape of pixels goes before the codec's, as players have it.
        self.aspect = float(self.stream.sample_aspect_ratio or 1)
        self.stored_size = (width, height)
        self.size = self._shown_size(self.first)

    def _choose(self, path: str | os.PathLike) -> Any:
        """The first frame, of the first stream that gives one, which is taken."""
        count = len(decodable_streams(self.container, "video"))
        if not count and any(not is_cover(s) for s in self.container.streams.video):
            raise UserError(f"{self.name!r} has a codec that FFmpeg cannot decode; {_ADVICE}")
        if not count:
            raise UserError(f"{self.name!r} has no video track; give a file with moving pictures")
        for number in range(count):
            if number:  # demuxing one stream has skipped the packets of the others
                self.container.close()
                self.container = open_media(path, "video")
            self.stream = decodable_streams(self.container, "video")[number]
            self.stream.thread_type = "AUTO"
            rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(FPS)
            self.fps = float(rate) if 0 < rate <= 1000 else float(FPS)
            self.zero = time_zero(self.container, self.stream)
            self.frames = decoded_frames(self.container, self.stream)
            first = next(self.frames, None)
            if first is not None:
                return first
        raise UserError(f"{self.name!r} has no frame that can be decoded; {_ADVICE}")

    def _square_size(self, frame: Any) -> tuple[int, int]:
        """Width and height in square pixels, as stored.

        Old tapes and discs have oblong pixels; a face must keep its proportions.
        """
        width, aspect = frame.width, self.aspect
        if (frame.width, frame.height) != self.stored_size:
            # Another size within the stream comes with a shape of pixels of its own.
            aspect = float(self.stream.codec_context.sample_aspect_ratio or 1)
        if 0.25 <= aspect <= 4 and abs(aspect - 1) > 0.01:
            width = min(round(width * aspect), 4 * _MAX_SIDE)
        return width, frame.height

    def _shown_size(self, frame: Any) -> tuple[int, int]:
        width, height = self._square_size(frame)
        return (height, width) if orientation_of(frame) in SWAPPED else (width, height)

    def rgb(self, frame: Any) -> PortraitArray:
        """Upright sRGB at the clip's size, by the colours and the range that the stream states.

        The first frame gives the clip's size. A frame of other proportions is shown whole, with
        black beside it; one that is larger or smaller is scaled.
        """
        orientation, size = orientation_of(frame), self.size
        shown = self._shown_size(frame)
        scale = min(size[0] / shown[0], size[1] / shown[1])
        # Rounding must leave frames of the clip's own proportions without a black line.
        inner = tuple(
            full if abs(side * scale - full) < 1 else max(round(side * scale), 1)
            for side, full in zip(shown, size, strict=True)
        )
        width, height = inner[::-1] if orientation in SWAPPED else inner
        pixels = turn(_to_rgb(frame, width, height), orientation)
        if inner == size:
            return pixels
        whole = np.zeros((size[1], size[0], 3), np.uint8)
        left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        whole[top : top + inner[1], left : left + inner[0]] = pixels
        return whole

    def timed(self) -> Iterator[tuple[float, float, Any]]:
        """(start, end, frame) in seconds from time 0, strictly increasing."""
        zero, shift, last = self.zero, 0.0, None
        frame = self.first
        while frame is not None:
            period = _duration(frame) or 1 / self.fps
            if frame.pts is not None and frame.time_base:
                start = float(frame.pts * frame.time_base)
                zero = start if zero is None else zero
                start += shift - zero
                expected = 0.0 if last is None else last + 1 / self.fps
                if abs(start - expected) > MAX_GAP_SECONDS:  # a jump of the clock
                    shift += expected - start
                    start = expected
            else:
                start = 0.0 if last is None else last + 1 / self.fps
            if last is None or start > last:
                yield start, start + period, frame
                last = start
            frame = next(self.frames, None)


def orientation_of(frame: Any) -> int:
    """How a PyAV frame lies, 1 to 8, by the display matrix that comes with it."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    values = [] if matrix is None else np.frombuffer(bytes(matrix), np.int32).tolist()
    return orientation_of_matrix(values) if len(values) == 9 else UPRIGHT


def _to_rgb(frame: Any, width: int, height: int) -> PortraitArray:
    """sRGB of width x height, as the frame is stored."""
    colours = colours_of(frame)
    if colours is None:
        return frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    wide = frame.reformat(width=width, height=height, format="rgb48le").to_ndarray()
    return to_srgb(wide, colours)


def _duration(frame: Any) -> float:
    ticks = getattr(frame, "duration", 0) or 0
    seconds = float(ticks * frame.time_base) if frame.time_base else 0.0
    return seconds if 0 < seconds <= 1 else 0.0


def read_video(path: str | os.PathLike) -> Iterator[PortraitArray]:
    """Frames of a clip at 25 fps: an iterator of upright (h, w, 3) uint8 RGB arrays.

    Output frame k is the source frame whose timestamp is nearest to k / 25 s, so variable frame
    rates keep their timing. Time 0 is the earliest start of picture or sound, as in `open_audio`.
    Rotation metadata, mirrored or not, and pixel aspect are applied; HDR and wide gamuts become
    sRGB; frames whose size changes keep their proportions. Damaged packets are stepped over, and a
    file cut in the middle gives what comes before the cut.

    Raises:
        UserError: at the call: missing, a directory, empty, not media, no video track, a still
            picture, or not one frame decodes; while iterating: a frame that cannot be converted.
    """
    return _constant_rate(_Reader(path))


def _constant_rate(reader: _Reader) -> Iterator[PortraitArray]:
    count, held, held_start, end = 0, None, 0.0, 0.0
    with reader.container, media_errors(reader.name, _ADVICE):
        for start, stop, frame in reader.timed():
            if held is not None:
                pixels = None
                while count / FPS <= (held_start + start) / 2:
                    pixels = reader.rgb(held) if pixels is None else pixels.copy()
                    yield pixels
                    count += 1
            held, held_start, end = frame, start, stop
        pixels = None
        while count == 0 or count / FPS < end - _TICK_SECONDS:
            pixels = reader.rgb(held) if pixels is None else pixels.copy()
            yield pixels
            count += 1


def probe(path: str | os.PathLike) -> VideoInfo:
    """Size, rate and length of a clip; decodes its first frame only.

    Raises:
        UserError: as `read_video` does at the call.
    """
    reader = _Reader(path)
    stream, container = reader.stream, reader.container
    with container, media_errors(reader.name, _ADVICE):
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration:
            seconds = container.duration / 1_000_000
        else:  # a bare stream: only counting tells
            seconds = sum(1 for _ in reader.timed()) / reader.fps
        return VideoInfo(
            width=reader.size[0],
            height=reader.size[1],
            fps=reader.fps,
            frames=stream.frames or math.floor(seconds * reader.fps + 0.5),
            seconds=seconds,
            has_audio=bool(container.streams.audio),
        )


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The facts that `VideoWriter(metadata=...)` stored; empty if there are none.

    Raises:
        UserError: missing, a directory, empty, or not a media file.
    """
    with open_media(path, "video") as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    try:
        facts = json.loads(tags.get("comment", "{}"))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
