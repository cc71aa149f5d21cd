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
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vasa_jax.audio.level import clip_gain
from vasa_jax.audio.protocol import num_frames
from vasa_jax.config import AudioConfig
from vasa_jax.errors import UserError
from vasa_jax.typing import FPS, SAMPLES_PER_FRAME, Float


class Chunk(NamedTuple):
    """One chunk: samples [start, stop) of the clip, of which frames [first, last) are kept."""

    start: int
    stop: int
    first: int
    last: int


@partial(jax.jit, static_argnames="encoder")
def _encode(encoder: nn.Module, variables, waveform, num_samples, statistics):
    return encoder.apply(variables, waveform, num_samples, statistics, True)


@partial(jax.jit, static_argnames="encoder")
def _measure(encoder: nn.Module, variables, waveform, num_samples, start, stop):
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
    encoder: nn.Module,
    variables: Mapping[str, Any],
    waveform: Float[np.ndarray, " n"],
    config: AudioConfig,
) -> Float[np.ndarray, "t a"]:
    """Features at 25 Hz of a whole clip: (n,) float32 samples at 16 kHz -> (ceil(n / 640), dim).

    Quiet and loud recordings are heard at a level that speech is trained on (`level`).

    encoder: an `AudioEncoder`; variables: {"params": its parameters}. Programs are compiled once
    for an encoder, its parameters' shapes and the chunk length, whatever the clip's length.
    Raises UserError for a clip without samples or with samples that are not finite.
    """
    return np.concatenate(list(encode_chunks(encoder, variables, waveform, config)))


def encode_chunks(
    encoder: nn.Module,
    variables: Mapping[str, Any],
    waveform: Float[np.ndarray, " n"],
    config: AudioConfig,
) -> Iterator[Float[np.ndarray, "t a"]]:
    """`encode_clip` piece by piece, in order, for clips whose features should not pile up."""
    samples = len(waveform)
    if not samples:
        raise UserError("the audio clip has no samples; give a clip that lasts at least a moment")
    if not np.isfinite(waveform).all():
        raise UserError("the audio clip has samples that are not finite; decode the file again")
    size = round(config.chunk_seconds * FPS) * SAMPLES_PER_FRAME
    gain = 1.0 if encoder.sets_level else clip_gain(waveform)
    waveform = encoder.prepare(waveform)
    chunks = plan(samples, config)
    statistics = None
    for i, chunk in enumerate(chunks):
        # The clip's own edges belong to the first and the last chunk, paddings included.
        start = -size if i == 0 else chunk.first * SAMPLES_PER_FRAME - chunk.start
        stop = 2 * size
        if i < len(chunks) - 1:
            stop = chunk.last * SAMPLES_PER_FRAME - chunk.start
        row = _padded(waveform, chunk, size, gain)
        part = _measure(encoder, variables, *row, _row(start), _row(stop))
        if part is None:
            break
        statistics = part if statistics is None else statistics.merge(part)
    for chunk in chunks:
        features = _encode(encoder, variables, *_padded(waveform, chunk, size, gain), statistics)
        offset = chunk.start // SAMPLES_PER_FRAME
        yield np.asarray(features[0], np.float32)[chunk.first - offset : chunk.last - offset]


def _row(value: int) -> jax.Array:
    return jnp.asarray([value], jnp.int32)


def _padded(
    waveform: np.ndarray, chunk: Chunk, size: int, gain: float
) -> tuple[np.ndarray, jax.Array]:
    row = np.zeros((1, size), np.float32)
    # Here and not on the whole clip, of which there is one copy that way.
    row[0, : chunk.stop - chunk.start] = waveform[chunk.start : chunk.stop] * np.float32(gain)
    return row, _row(chunk.stop - chunk.start)
