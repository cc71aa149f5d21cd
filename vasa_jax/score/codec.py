"""One fixed audio codec before the sync metrics: what a system's encoder did must not count.

SyncNet's distance moves by 0.4 to 1.2 when only the codec changes (arXiv 2511.04520).
"""

import io

import numpy as np

from vasa_jax.media.demux import media_errors
from vasa_jax.typing import SAMPLE_RATE, Float

BIT_RATE = 64_000
"""Of AAC, mono at 16 kHz."""
CRF = 18
"""Of H.264, for the pictures that SyncNet sees."""
WORDS = (
    f"sound through AAC ({BIT_RATE // 1000} kbit/s, mono, 16 kHz), SyncNet's pictures through "
    f"H.264 (crf {CRF})"
)
"""For the report."""


def through_aac(waveform: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The sound after encoding and decoding by AAC, without the encoder's delay."""
    import av

    if not len(waveform):
        return waveform
    store = io.BytesIO()
    with media_errors("sound", "leave the codec out with --no-codec"):
        with av.open(store, "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=SAMPLE_RATE)
            stream.bit_rate = BIT_RATE
            stream.codec_context.layout = "mono"
            samples = np.ascontiguousarray(waveform, np.float32)[None]
            size = 1024  # samples of an AAC frame
            for start in range(0, samples.shape[1], size):
                part = np.ascontiguousarray(samples[:, start : start + size])
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = SAMPLE_RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        store.seek(0)
        heard = np.zeros(len(waveform), np.float32)
        with av.open(store, "r") as container:
            stream = container.streams.audio[0]
            for frame in container.decode(stream):
                assert frame.pts is not None and frame.time_base is not None  # noqa: PT018
                start = round(float(frame.pts * frame.time_base) * SAMPLE_RATE)
                piece = frame.to_ndarray().reshape(-1)
                first = max(-start, 0)
                last = min(len(piece), len(heard) - start)
                if last > first:
                    heard[start + first : start + last] = piece[first:last]
    return heard
