"""Features of clips of any length, in chunks of one fixed shape.

A chunk is `chunk_seconds` long. On each inner side it carries `overlap_seconds` of context whose
features are thrown away, so neighbouring chunks share twice that much. The first chunk starts with
the clip and the last one ends with it; a clip shorter than a chunk is padded and masked. One shape
means one compilation, and only one chunk's activations are in memory at a time.

Where the encoder sees less far than the overlap (mel), the result equals a single pass over the
clip. The transformers attend to their whole chunk, so there it is close but not equal; statistics
over time are still the clip's own (see `protocol`).

Whisper also knows where in its chunk a sound lies. With the real tiny.en, a clip heard 3 s later
(in one pass of 30 s) gives features that follow the unshifted ones over time (median correlation
0.99 a dimension) but lie as far from them as they are long; five of the 384 dimensions hold 91 % of
that. So past the first chunk its features differ from a single pass by 60 to 70 % in norm, in those
dimensions, while the first chunk's differ by 3 to 8 %. Give it chunks as long as the clips it was
trained on.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from vasa_jax.audio.level import clip_gain
from vasa_jax.audio.protocol import AudioEncoder, num_frames
from vasa_jax.audio.samples import Samples, Scaled, pieces
from vasa_jax.config import AudioConfig
from vasa_jax.errors import UserError
from vasa_jax.typing import FPS, SAMPLES_PER_FRAME, Array, Float, Int

Row = Int[np.ndarray, "1"]


class Chunk(NamedTuple):
    """One chunk: samples [start, stop) of the clip, of which frames [first, last) are kept."""

    start: int
    stop: int
    first: int
    last: int


@partial(jax.jit, static_argnames="encoder")
def _encode(encoder: AudioEncoder, variables, waveform, num_samples, statistics):
    return encoder.apply(variables, waveform, num_samples, statistics, True)


@partial(jax.jit, static_argnames="encoder")
def _measure(encoder: AudioEncoder, variables, waveform, num_samples, start, stop):
    return encoder.apply(variables, waveform, num_samples, start, stop, method="measure")


def plan(samples: int, config: AudioConfig) -> list[Chunk]:
    """The chunks of a clip; their kept frames tile it without a gap."""
    size = round(config.chunk_seconds * FPS)
    overlap = round(config.overlap_seconds * FPS)
    total, chunks, first = num_frames(samples), [], 0
    while first < total:
        start = max(0, min(first - overlap, total - size))
        last = total if start + size >= total else start + size - overlap
        stop = min((start + size) * SAMPLES_PER_FRAME, samples)
        chunks.append(Chunk(start * SAMPLES_PER_FRAME, stop, first, last))
        first = last
    return chunks


def encode_clip(
    encoder: AudioEncoder,
    variables: Mapping[str, Any],
    waveform: Samples,
    config: AudioConfig,
) -> Float[np.ndarray, "t a"]:
    """Features at 25 Hz of a whole clip: (n,) float32 samples at 16 kHz -> (ceil(n / 640), dim).

    Quiet and loud recordings are brought to the level of the training data (`level`).

    variables: {"params": its parameters}. Programs are compiled once
    for an encoder, its parameters' shapes and the chunk length, whatever the clip's length.
    Raises UserError for a clip without samples or with samples that are not finite.
    """
    return np.concatenate(list(encode_chunks(encoder, variables, waveform, config)))


def encode_chunks(
    encoder: AudioEncoder,
    variables: Mapping[str, Any],
    waveform: Samples,
    config: AudioConfig,
) -> Iterator[Float[np.ndarray, "t a"]]:
    """`encode_clip` piece by piece, in order, for clips whose features should not pile up."""
    waveform = made_ready(encoder, waveform)
    chunks, size = plan(len(waveform), config), chunk_samples(config)
    statistics = None
    for part in measured_parts(chunks, size):
        measured = _measure(encoder, variables, *chunk_row(waveform, part[0], size), *part[1:])
        if measured is None:
            break
        statistics = measured if statistics is None else statistics.merge(measured)
    for chunk in chunks:
        row = chunk_row(waveform, chunk, size)
        yield kept_frames(_encode(encoder, variables, *row, statistics), chunk)


def made_ready(encoder: AudioEncoder, waveform: Samples) -> Samples:
    """A whole clip as its chunks are cut from it: at a level that speech is trained on (`level`),
    and as the encoder wants it.

    Raises UserError for a clip without samples or with samples that are not finite.
    """
    if not len(waveform):
        raise UserError("the audio clip has no samples; give a clip that lasts at least a moment")
    if not all(np.isfinite(piece).all() for piece in pieces(waveform)):
        raise UserError("the audio clip has samples that are not finite; decode the file again")
    gain = 1.0 if encoder.sets_level else clip_gain(waveform)
    waveform = encoder.prepare(waveform)
    return waveform if gain == 1 else Scaled(waveform, gain)


def chunk_samples(config: AudioConfig) -> int:
    """Samples of a chunk's row."""
    return round(config.chunk_seconds * FPS) * SAMPLES_PER_FRAME


def measured_parts(chunks: list[Chunk], size: int) -> Iterator[tuple[Chunk, Row, Row]]:
    """Each chunk with the part [start, stop) of it that its clip's statistics take from it."""
    for i, chunk in enumerate(chunks):
        # The clip's own edges belong to the first and the last chunk, paddings included.
        start = -size if i == 0 else chunk.first * SAMPLES_PER_FRAME - chunk.start
        stop = 2 * size
        if i < len(chunks) - 1:
            stop = chunk.last * SAMPLES_PER_FRAME - chunk.start
        yield chunk, np.array([start], np.int32), np.array([stop], np.int32)


def chunk_row(
    waveform: Samples, chunk: Chunk, size: int
) -> tuple[Float[np.ndarray, "1 {size}"], Row]:
    """A chunk's samples in a row of the compiled length, and how many of them are real."""
    row = np.zeros((1, size), np.float32)
    row[0, : chunk.stop - chunk.start] = waveform[chunk.start : chunk.stop]
    return row, np.array([chunk.stop - chunk.start], np.int32)


def kept_frames(features: Float[Array, "1 t a"], chunk: Chunk) -> Float[np.ndarray, "k a"]:
    """Of the features of a chunk's row those that are its clip's."""
    offset = chunk.start // SAMPLES_PER_FRAME
    return np.asarray(features, np.float32)[0, chunk.first - offset : chunk.last - offset]
