"""Opening of media files with PyAV; every failure becomes one UserError."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from vasa_jax.errors import UserError
from vasa_jax.media.files import check_input

__all__ = [
    "MAX_GAP_SECONDS",
    "decodable_streams",
    "decoded_frames",
    "is_cover",
    "media_errors",
    "open_media",
    "time_zero",
]

MAX_GAP_SECONDS = 60.0
"""A longer jump between timestamps is taken for a broken timestamp, not for a pause."""


@contextlib.contextmanager
def media_errors(name: str, advice: str) -> Iterator[None]:
    """Turn FFmpeg's errors, and what PyAV raises on values it did not expect, into a UserError.

    Args:
        name: the file in the message.
        advice: how to mend it.
    """
    import av

    unexpected = (av.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, MemoryError)
    try:
        yield
    # TypeError and AttributeError stay out: those would be ours.
    except unexpected as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"{name!r} cannot be decoded ({reason}); {advice}") from error


def open_media(path: str | os.PathLike, what: str) -> Any:
    """Open `path` for reading; returns PyAV's InputContainer, which the caller closes.

    Raises:
        UserError: missing, a directory, empty, not readable, or not a media file.
    """
    import av

    file = check_input(path, what)
    name = os.fspath(path)
    with media_errors(name, "make sure that it is a complete media file, or convert it anew"):
        # Tags in odd encodings must not make a file unreadable; nor may a playlist fetch others.
        lenient: dict[str, Any] = _lenient_tags(av.__version__)
        container = av.open(str(file), "r", options={"protocol_whitelist": "file"}, **lenient)
    form = container.format.name
    if form == "tty" or "image2" in form or (form.endswith("_pipe") and form != "gif_pipe"):
        container.close()
        kind = "text" if form == "tty" else "a still picture"
        raise UserError(f"{what} {name!r} is {kind}; give an audio or video file")
    return container


def _lenient_tags(version: str) -> dict[str, str]:
    """PyAV 19 has no argument for tags in odd encodings any more, and reads them."""
    return {"metadata_errors": "replace"} if int(version.split(".")[0]) < 19 else {}


def time_zero(container: Any, stream: Any) -> float | None:
    """The time in seconds that a player calls 0: the earliest start of the sound and the picture.

    Cover art has no time. None if the file does not say (raw PCM, ADTS), then the first frame is.
    """
    streams = [stream, *container.streams.video, *decodable_streams(container, "audio")[:1]]
    starts = [
        float(s.start_time * s.time_base)
        for s in streams
        if s.start_time is not None and s.time_base and not is_cover(s)
    ]
    return min(starts) if starts else None


def decodable_streams(container: Any, kind: str) -> list[Any]:
    """The streams of a kind that FFmpeg has a decoder for, those to be tried first in front.

    FFmpeg's own choice of the best counts channels and packets, but not whether they decode: a
    phone's spatial sound comes before the stereo that is stored beside it. Cover art is left out.

    Args:
        kind: "audio" or "video".
    """
    import av

    best = container.streams.best(kind)
    usable = [
        s
        for s in container.streams
        if s.type == kind and s.codec_context is not None and not is_cover(s)
    ]
    default = av.stream.Disposition.default
    return sorted(usable, key=lambda s: (s is not best, not s.disposition & default))


def is_cover(stream: Any) -> bool:
    """Whether a video stream is the picture of an album rather than a video."""
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def decoded_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decode `stream`, stepping over damaged packets; ends where the demuxer gives up.

    A file cut in the middle gives what comes before the cut.
    """
    import av

    demuxer = container.demux(stream)
    while True:
        try:
            packet = next(demuxer)
        except StopIteration:
            return
        except (av.FFmpegError, OSError, ValueError):
            break
        with contextlib.suppress(av.FFmpegError, ValueError):
            yield from stream.codec_context.decode(packet)
    with contextlib.suppress(av.FFmpegError, ValueError):
        yield from stream.codec_context.decode(None)
