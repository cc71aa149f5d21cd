"""Video out: frames and the original audio to H.264 and AAC, streamed, atomic."""

import contextlib
import errno
import json
import math
import os
import platform
from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.files import PendingFile
from vasa_jax.media.places import check_kept
from vasa_jax.media.soundtrack import Soundtrack
from vasa_jax.typing import FPS, Frames

if TYPE_CHECKING:
    import av

__all__ = ["VideoWriter", "frame_count"]

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Options for constant quality of each encoder. "veryfast": on talking heads at crf 18,
# files as small as with "medium" and as close (mean error 1.7 to 1.6 of 255), for 0.4 of the time.
_ENCODERS = {
    "libx264": lambda crf, width: {"crf": str(crf), "preset": "veryfast"} | _steady_x264(width),
    "h264_nvenc": lambda crf, width: {"rc": "vbr", "cq": str(crf), "b": "0", "preset": "p5"},
    "h264_qsv": lambda crf, width: {"global_quality": str(crf)},
}
_THREADS = 4
"""x264's output depends on its number of threads, so it does not follow the machine."""
# Not above 48 kHz: the encoder would spend bits on inaudible bands at the cost of speech.
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_BT709, _LIMITED = 1, 1
_USER_ERRNO = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
}


def frame_count(seconds: float, fps: int = FPS) -> int:
    """Frames that cover `seconds` of sound: ceil(seconds * fps), forgiving rounding errors."""
    return max(1, math.ceil(seconds * fps - 1e-6))


class VideoWriter:
    """Stream frames, and the sound of another file, into one video file.

        with VideoWriter("out.mp4", 512, 512, audio_from="speech.wav") as video:
            video.write(frames)  # (t, 512, 512, 3) uint8, as often as needed

    The file appears under its name when the block ends without an exception; before that only a
    hidden file exists beside it, which an exception removes. Sound and picture are encoded and
    interleaved as frames arrive, so memory does not grow with length. With libx264 the same input
    gives the same bytes, on any number of cores.

    Args:
        path: .mp4, .mov or .mkv; missing folders are made.
        width, height: pixels, even (4:2:0 colour).
        fps: frames per second, constant.
        audio_from: a file whose audio track goes along, from its time 0 and in full length (the
            rate kept up to 48 kHz, at most 2 channels); None for a silent video.
        seconds: stop the sound after so many seconds; None for all of it.
        metadata: facts that JSON can hold, such as seed, config and version. All of them go into
            the `comment` tag as JSON, and the value of "title" also into the `title` tag.
        crf: quality, 0 (best) to 51.
        encoder: libx264, or h264_nvenc or h264_qsv where FFmpeg and the machine have them.

    Raises:
        UserError: at construction: unknown extension or encoder, unwritable folder, a directory
            as path, an audio file that `Soundtrack` refuses; while writing: broken sound, or a
            full disk.
        ValueError: odd or non-positive sizes, frames of another shape, or no frame at all.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        width: int,
        height: int,
        *,
        fps: int = FPS,
        audio_from: str | os.PathLike | None = None,
        seconds: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        crf: int = 18,
        encoder: str = "libx264",
    ):
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise ValueError(f"video size {width}x{height} must be even and positive")
        self._name = os.fspath(path)
        kind = _FORMATS.get(os.path.splitext(self._name)[1].lower())
        if kind is None:
            raise UserError(
                f"cannot write a video to {self._name!r}; end the name in {', '.join(_FORMATS)}"
            )
        _check_encoder(encoder)
        comment = json.dumps(dict(metadata or {}), sort_keys=True)
        self._size, self._fps, self._frames = (width, height), fps, 0
        check_kept(self._name, {"file of its sound": audio_from}, "video")
        with contextlib.ExitStack() as undo:
            self._pending = PendingFile(path, "video")
            undo.callback(self._pending.discard)
            soundtrack = None
            if audio_from is not None:
                soundtrack = Soundtrack(audio_from)
                undo.callback(soundtrack.close)
            self._open(kind, encoder, crf)
            undo.callback(self._abandon)
            if metadata:
                self._container.metadata["comment"] = comment
                if "title" in metadata:
                    self._container.metadata["title"] = str(metadata["title"])
            self._sound = None
            if soundtrack is not None:
                self._sound = _Sound(self._container, soundtrack, seconds)
            undo.pop_all()

    def _open(self, kind: str, encoder: str, crf: int) -> None:
        import av

        with self._writing():
            self._container = av.open(
                str(self._pending.temporary),
                "w",
                format=kind,
                options={"movflags": "+faststart"} if kind != "matroska" else {},
            )
            options = _ENCODERS[encoder](crf, self._size[0])
            stream = self._container.add_stream(encoder, rate=self._fps, options=options)
        self._stream = cast("av.VideoStream", stream)  # of an encoder of `_ENCODERS`
        context = self._stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, self._fps)
        context.thread_count = _THREADS
        # Stated, because players guess the matrix by the size of the picture when it is not.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        try:
            context.open()
        except av.FFmpegError as error:
            self._abandon()
            raise UserError(
                f"the encoder {encoder} cannot start here ({error.strerror}); use libx264"
            ) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A full disk is the user's matter; any other FFmpeg error is ours and passes."""
        import av

        try:
            yield
        except (av.FFmpegError, OSError) as error:
            if error.errno not in _USER_ERRNO:
                raise
            raise UserError(
                f"cannot write {self._name!r} ({error.strerror}); "
                "free some disk space or choose another folder"
            ) from error

    def __enter__(self) -> "VideoWriter":
        return self

    def write(self, frames: Frames) -> None:
        """Append frames, (t, h, w, 3) uint8 RGB, and the sound that goes with them."""
        import av
        from av.video.reformatter import ColorRange, Colorspace

        expected = (self._size[1], self._size[0], 3)
        if frames.ndim != 4 or frames.shape[1:] != expected or frames.dtype != np.uint8:
            raise ValueError(f"frames are {frames.dtype}{frames.shape}, not uint8 (t, *{expected})")
        for pixels in frames:
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = rgb.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts, frame.time_base = self._frames, Fraction(1, self._fps)
            with self._writing():
                self._container.mux(self._stream.encode(frame))
            self._frames += 1
            if self._sound is not None:
                with self._writing():
                    self._sound.advance(self._frames / self._fps)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        finished = False
        try:
            if error is None:
                if self._frames == 0:
                    raise ValueError(f"no frame was written to {self._name!r}")
                with self._writing():
                    self._container.mux(self._stream.encode(None))
                    if self._sound is not None:
                        self._sound.finish()
                    self._container.close()
                finished = True
        finally:
            if not finished:
                self._abandon()
            if self._sound is not None:
                self._sound.close()
        if finished:
            self._pending.commit()

    def _abandon(self) -> None:
        # Closing writes an index, which fails on what is broken already.
        with contextlib.suppress(Exception):
            self._container.close()
        self._pending.discard()


def _steady_x264(width: int) -> dict[str, str]:
    """x264's AVX-512 code of "mbtree" (its rate control) takes 16 blocks of 16 pixels at once and
    reads past the end of rows that do not come out even (core 165): the same frames then gave other
    bytes, as the heap had it. The older code is right and costs up to an eighth of the time."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return {"x264-params": "asm=SSE4.2"} if x86 and width % 256 else {}


def _check_encoder(encoder: str) -> None:
    import av

    if encoder not in _ENCODERS or encoder not in av.codecs_available:
        there = [name for name in _ENCODERS if name in av.codecs_available]
        raise UserError(f"encoder {encoder!r} is not available; use one of {', '.join(there)}")


class _Sound:
    """The audio stream of a video being written, fed up to the time of the picture."""

    _blocks: Generator[np.ndarray, None, None] | None  # None: all is encoded

    def __init__(self, container: Any, source: Soundtrack, seconds: float | None):
        self._container, self._source = container, source
        channels = min(source.source_channels, 2)
        rate = next((r for r in _AAC_RATES if r >= source.rate), _AAC_RATES[-1])
        self._rate, self._layout = rate, ("mono", "stereo")[channels - 1]
        self._stream = container.add_stream("aac", rate=rate, layout=self._layout)
        # AAC's ceiling is about 6 bits a sample; 4 are transparent at 16 kHz.
        self._stream.codec_context.bit_rate = channels * min(96_000, 4 * rate)
        self._blocks = source.blocks(rate, channels)
        self._limit = None if seconds is None else round(seconds * rate)
        self._written = 0

    def advance(self, seconds: float) -> None:
        """Encode until `seconds` are reached or the sound ends."""
        while self._blocks is not None and self._written < seconds * self._rate:
            self._encode(next(self._blocks, None))

    def _encode(self, block: np.ndarray | None) -> None:
        """Encode a block (channels, n) of the source; None or one past the limit closes it."""
        import av

        if block is not None and self._limit is not None:
            block = block[:, : self._limit - self._written]
        if block is None or block.shape[1] == 0:
            self.close()
            return
        block = np.ascontiguousarray(block)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))
        self._written += block.shape[1]

    def finish(self) -> None:
        """Encode the rest, however much longer than the picture it is."""
        while self._blocks is not None:
            self._encode(next(self._blocks, None))
        self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the source; more than once does nothing."""
        if self._blocks is not None:
            self._blocks.close()
            self._blocks = None
        self._source.close()
