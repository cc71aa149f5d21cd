"""An audio track as a stream of float blocks on the file's presentation time axis."""

import os
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Any

import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.media.demux import (
    MAX_GAP_SECONDS,
    decodable_streams,
    decoded_frames,
    media_errors,
    open_media,
    time_zero,
)
from vasa_jax.media.mix import EnergyMix
from vasa_jax.typing import Float

__all__ = ["MIN_SECONDS", "NoSoundError", "Soundtrack", "downmix_matrix"]

MIN_SECONDS = 0.04
"""One video frame: less sound than that moves nothing."""
_MIN_RATE, _MAX_RATE = 1_000, 768_000
# Smaller steps are rounding: Matroska's clock ticks in ms, MPEG's packs are late by a few ms.
_JITTER_SECONDS = 0.05
_FEWEST_PADDING = 4096
_ADVICE = "convert it to WAV, FLAC, MP3 or M4A"

Block = Float[np.ndarray, "c n"]


def downmix_matrix(names: tuple[str, ...], channels: int) -> Float[np.ndarray, "out c"]:
    """Weights from the named input channels to mono or stereo.

    Centre and surround channels enter at -3 dB and the LFE not at all (ITU-R BS.775-3, table 2).
    Each row sums to 1, so that nothing clips and a mono signal copied to all channels keeps its
    level. Without names two channels stay as they are, and others count all the same.

    Args:
        names: FFmpeg's channel names, such as ("FL", "FR", "FC", "LFE", "BL", "BR").
        channels: 1 or 2, the channels wanted.
    """
    count, half = len(names), np.sqrt(0.5)
    left = {"FL": 1.0, "FLC": 1.0, "DL": 1.0, "WL": 1.0, "BL": half, "SL": half, "TFL": half}
    both = {"FC": half, "BC": 0.5, "TC": 0.5, "LFE": 0.0, "LFE2": 0.0}
    right = {"FR": 1.0, "FRC": 1.0, "DR": 1.0, "WR": 1.0, "BR": half, "SR": half, "TFR": half}
    known = left.keys() | both.keys() | right.keys()
    if count == channels:
        return np.eye(count, dtype=np.float32)
    rows = np.array([[side.get(n, both.get(n, 0.0)) for n in names] for side in (left, right)])
    if not known.issuperset(names) or count == 1 or (rows.sum(1) == 0).any():
        rows = np.ones((2, count))
    rows /= rows.sum(1, keepdims=True)
    return (rows if channels == 2 else rows.mean(0, keepdims=True)).astype(np.float32)


class NoSoundError(UserError):
    """A media file without sound that can be used: no audio track, or none that decodes."""


class Soundtrack:
    """The best audio stream of a file that decodes, block by block; iterate over it once.

    The first blocks are decoded at construction, so that a track without any is found there.

    Sample 0 is time 0 of the presentation: encoder priming is dropped, sound that starts late
    begins with silence, sound before time 0 is cut, and holes of up to a minute are silent.

    Attributes:
        rate: sampling rate of the source, Hz.
        source_channels: channels of the source.

    Raises:
        NoSoundError: no audio stream, or none with a codec that FFmpeg knows, a usable sampling
            rate and `MIN_SECONDS` of sound that decode.
        UserError: see `open_media`. While iterating: NaN or infinite samples, or too little sound
            after time 0.
    """

    def __init__(self, path: str | os.PathLike):
        self.name = os.fspath(path)
        self._container = open_media(path, "audio")
        try:
            with media_errors(self.name, _ADVICE):
                self._choose(path)
        except BaseException:
            self.close()
            raise
        self._past, self._count, self._count_rate = 0.0, 0, self.rate

    @property
    def seconds(self) -> float:
        """Length of the sound decoded so far, s; counted in samples, so 2 s are exactly 2.0."""
        return self._past + self._count / self._count_rate

    def _add(self, samples: int, rate: int) -> None:
        if rate != self._count_rate:
            self._past, self._count, self._count_rate = self.seconds, 0, rate
        self._count += samples

    def _choose(self, path: str | os.PathLike) -> None:
        """Take the first stream that decodes."""
        count = len(decodable_streams(self._container, "audio"))
        if not count and self._container.streams.audio:
            raise NoSoundError(f"{self.name!r} has a codec that FFmpeg cannot decode; {_ADVICE}")
        if not count:
            raise NoSoundError(f"{self.name!r} has no audio track; give a file with sound")
        problems = []
        for number in range(count):
            if number:  # demuxing one stream has skipped the packets of the others
                self._container.close()
                self._container = open_media(path, "audio")
            try:
                self._start(decodable_streams(self._container, "audio")[number])
                return
            except NoSoundError as error:
                problems.append(error)
        raise problems[0]

    def _start(self, stream: Any) -> None:
        self._stream, context = stream, stream.codec_context
        self.rate: int = context.sample_rate
        self.source_channels: int = context.layout.nb_channels
        self._check_rate(self.rate)
        self._zero = time_zero(self._container, stream)
        frames, first, seconds = decoded_frames(self._container, stream), [], 0.0
        for frame in frames:
            first.append(frame)
            seconds += frame.samples / max(frame.sample_rate, 1)
            if seconds >= MIN_SECONDS:
                break
        else:
            self._refuse(seconds)
        self._frames = chain(first, frames)

    def _refuse(self, seconds: float) -> None:
        held = f"only {seconds * 1000:.0f} ms of" if seconds else "no"
        raise NoSoundError(
            f"{self.name!r} holds {held} sound that can be decoded: it is empty, cut off or "
            f"damaged; give at least {MIN_SECONDS * 1000:.0f} ms"
        )

    def _check_rate(self, rate: int) -> None:
        if not _MIN_RATE <= rate <= _MAX_RATE:
            raise NoSoundError(
                f"{self.name!r} claims a sampling rate of {rate} Hz, outside "
                f"{_MIN_RATE}..{_MAX_RATE}; it is damaged or mislabelled: {_ADVICE}"
            )

    def blocks(
        self, rate: int, channels: int, by_energy: bool = False
    ) -> Generator[Block, None, None]:
        """Decode to (channels, n) float32 at `rate`; 1 or 2 channels, not clipped to [-1, 1].

        Memory stays flat. The file is closed when the iterator ends or is dropped. by_energy: mix
        to one channel by `EnergyMix`, for a model's ears, and not as a player does.
        """
        import av

        layout = "mono" if channels == 1 else "stereo"
        resampler, source_rate = None, 0
        try:
            with media_errors(self.name, _ADVICE):
                for block, block_rate in self._source_blocks(channels, by_energy):
                    if block_rate != source_rate:  # new, or a stream that changes its rate
                        yield from _drain(resampler, None)
                        resampler = av.AudioResampler("fltp", layout, rate)
                        source_rate = block_rate
                    frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                    frame.sample_rate = block_rate
                    yield from _drain(resampler, frame)
                yield from _drain(resampler, None)
        finally:
            self.close()
        if self.seconds < MIN_SECONDS:
            self._refuse(self.seconds)

    def _source_blocks(self, channels: int, by_energy: bool) -> Iterator[tuple[Block, int]]:
        """Mixed blocks at the source's rate, with holes filled and what is before 0 cut."""
        zero, shift, mixes = self._zero, 0.0, {}
        limit = self._stated_seconds()
        for frame in self._frames:
            rate = frame.sample_rate
            self._check_rate(rate)
            names = tuple(channel.name for channel in frame.layout.channels)
            if names not in mixes:
                matrix = downmix_matrix(names, channels)
                mixes[names] = EnergyMix(matrix[0]) if by_energy else _fixed_mix(matrix)
            block = mixes[names](self._finite(_to_float(frame)), rate)
            if frame.pts is not None and frame.time_base:
                start = float(frame.pts * frame.time_base)
                zero = start if zero is None else zero
                hole = start - zero + shift - self.seconds
                if self.seconds == 0.0 and -MAX_GAP_SECONDS <= hole < 0:
                    block = block[:, round(-hole * rate) :]
                elif (
                    self.seconds == 0.0 or hole > _JITTER_SECONDS
                ) and 0 < hole <= MAX_GAP_SECONDS:
                    silence = np.zeros((channels, round(hole * rate)), np.float32)
                    if silence.shape[1]:
                        self._add(silence.shape[1], rate)
                        yield silence, rate
                elif abs(hole) > _JITTER_SECONDS:  # a jump of the clock: go on where we are
                    shift -= hole
            # AAC in MP4 ends in padding that only the track's stated length tells from sound.
            extra = round((self.seconds - limit) * rate) + block.shape[1] if limit else 0
            if 0 < extra < min(_FEWEST_PADDING, block.shape[1] + 1):
                block = block[:, : block.shape[1] - extra]
            if block.shape[1]:
                self._add(block.shape[1], rate)
                yield np.ascontiguousarray(block), rate

    def _stated_seconds(self) -> float | None:
        stream = self._stream
        if "mov" not in self._container.format.name or not stream.duration:
            return None
        start = float((stream.start_time or 0) * stream.time_base)
        return start - (self._zero or 0.0) + float(stream.duration * stream.time_base)

    def _finite(self, samples: Block) -> Block:
        if not np.isfinite(samples).all():
            raise UserError(
                f"{self.name!r} holds NaN or infinite samples near {self.seconds:.2f} s; "
                "export it again as 16-bit WAV"
            )
        return samples

    def close(self) -> None:
        """Close the file; more than once does nothing."""
        self._container.close()


def _fixed_mix(matrix: Float[np.ndarray, "out c"]) -> Callable[[Block, int], Block]:
    """A constant mix in the form of `EnergyMix`."""
    return lambda block, rate: matrix @ block


def _drain(resampler: Any, frame: Any) -> Iterator[Block]:
    for piece in resampler.resample(frame) if resampler is not None else ():
        if piece is not None:  # PyAV hands the flush back when there is nothing to convert
            yield piece.to_ndarray()


def _to_float(frame: Any) -> Block:
    """Any sample format, planar or packed, to (channels, n) float32 with full scale 1."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = scale if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - offset) / scale).astype(np.float32)
