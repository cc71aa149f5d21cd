"""Properties of a video file, and notes on what `prepare` corrects in it."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vasa_jax.media.colour import colours_of
from vasa_jax.media.demux import decodable_streams, media_errors, open_media
from vasa_jax.media.orientation import UPRIGHT
from vasa_jax.media.video import orientation_of
from vasa_jax.typing import FPS, Float, PortraitArray

_LAY = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored and turned by 180 degrees",
    5: "mirrored and turned by a quarter",
    6: "turned by 270 degrees",
    7: "mirrored and turned by a quarter",
    8: "turned by 90 degrees",
}
"""How a display matrix lays the picture; degrees counter-clockwise, as FFmpeg states them."""
LOOKED_AT = 10
"""Frames decoded for the notes on the picture."""
COMBED = 0.012
"""Largest `comb_share` of a progressive frame; interlaced ones have 0.03 and more."""
_COMB_STEP = 12
_SAME_RATE = 0.005
"""Measured and stated rates that differ by less, relatively, are one rate."""


class StreamInfo(NamedTuple):
    """Properties of a video stream."""

    size: tuple[int, int]  # width and height as stored
    fps: float  # average
    notes: tuple[str, ...]  # one line each on what is corrected
    interlaced: bool  # to be decoded by `one_field`


def probe_stream(path: Path) -> StreamInfo:
    """Read the timestamps of all and the pictures of the first frames.

    Raises UserError for a file that is missing, empty or no video.
    """
    with open_media(path, "video") as container, media_errors(str(path), "convert it anew"):
        stream, frames = None, []
        for number, stream in enumerate(decodable_streams(container, "video")):
            if number:
                container.seek(0)
            if frames := _first_frames(container, stream):
                break
        if stream is None:
            return StreamInfo((0, 0), float(FPS), (), False)  # `read_video` says what is wrong
        rate = float(stream.average_rate or FPS)
        notes = []
        if any(part.bits > 8 for part in stream.codec_context.format.components):
            notes.append(f"{stream.codec_context.pix_fmt} has more than 8 bits: rounded to 8")
        lies = orientation_of(frames[0]) if frames else UPRIGHT
        if lies != UPRIGHT:
            notes.append(f"{_LAY[lies]}: made upright")
        if frames and (colours := colours_of(frames[0])) is not None:
            notes.append(f"{colours.name}: converted to sRGB, highlights above white are clipped")
        combed = lies == UPRIGHT and any(
            frame.interlaced_frame and comb_share(frame.to_ndarray(format="rgb24")) > COMBED
            for frame in frames
        )
        if combed:
            notes.append("interlaced: one field is kept, half of the lines")
        container.seek(0)
        notes += _timing(container, stream)
        context = stream.codec_context
        return StreamInfo((context.width, context.height), rate, tuple(notes), combed)


def _first_frames(container: Any, stream: Any) -> list[Any]:
    import av

    frames = []
    try:
        for frame in container.decode(stream):
            frames.append(frame)
            if len(frames) == LOOKED_AT:
                break
    except (av.FFmpegError, ValueError):
        pass  # `read_video` steps over damage, or says that nothing can be decoded
    return frames


def _timing(container: Any, stream: Any) -> list[str]:
    """Notes on a rate that varies or is not 25, and on a file that ends before it says."""
    import av

    times, spans = [], 0.0
    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                times.append(float(packet.pts * packet.time_base))
                spans = float((packet.duration or 0) * packet.time_base)
    except (av.FFmpegError, OSError, ValueError):
        pass
    if len(times) < 3:
        return []
    notes = []
    rate, varies = frame_rate(np.array(times), float(stream.time_base or 0))
    if varies:
        notes.append("variable frame rate: the frame nearest to every 1/25 s is taken")
    elif rate and abs(rate - FPS) > 0.2:
        stated = float(stream.average_rate or 0)  # finer than a short clip's times are
        rate = stated if abs(stated / rate - 1) < _SAME_RATE else rate
        notes.append(f"{rate:.4g} frames/s: the frame nearest to every 1/25 s is taken")
    stated = (container.duration or 0) / 1_000_000  # Matroska tells of the whole file alone
    if stream.duration and stream.time_base:
        stated = float(stream.duration * stream.time_base)
    if stated:
        found = max(times) - min(times) + max(spans, 1 / rate if rate else 0.0)
        if stated - found > max(0.5, 0.02 * stated):
            notes.append(f"truncated: {found:.1f} of {stated:.1f} s are there")
    return notes


def frame_rate(times: Float[np.ndarray, " n"], tick: float) -> tuple[float, bool]:
    """Frames a second of frames at these times (seconds, in any order, two or more), and whether
    the rate varies; 0 where all have one time.

    tick: of the clock, seconds. Matroska and FLV count in milliseconds: 60 frames a second lie 16
    or 17 of them apart. So a step may be a tick off without being another step, and the rate is
    the mean over all steps but gaps, not the most frequent step's.
    """
    steps = np.diff(np.sort(times))
    middle = float(np.median(steps))
    if middle <= 0:
        return 0.0, False
    usual = np.abs(steps - middle) <= max(0.25 * middle, 1.01 * tick)
    return 1 / float(steps[usual].mean()), bool((~usual).mean() > 0.02)


def comb_share(frame: PortraitArray) -> float:
    """Share of pixels from which four lines alternate clearly between two values: what a moving
    edge leaves in an interlaced picture."""
    grey = frame[..., 1].astype(np.int16)
    one, two, three, four = grey[:-3], grey[1:-2], grey[2:-1], grey[3:]
    low = np.minimum(np.minimum(np.abs(one - two), np.abs(two - three)), np.abs(three - four))
    same = np.maximum(np.abs(one - three), np.abs(two - four))
    return float(((low > _COMB_STEP) & (same < _COMB_STEP)).mean())


def one_field(frame: PortraitArray) -> PortraitArray:
    """The even lines, and between them lines interpolated from those: one moment only."""
    import cv2

    height, width = frame.shape[:2]
    doubled = np.array([[1.0, 0, 0], [0, 2.0, 0]])  # line y of the field is line 2 y
    return cv2.warpAffine(
        np.ascontiguousarray(frame[::2]),
        doubled,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
