"""Small media files, encoded by PyAV alone."""

import av
import numpy as np


def speech(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """(channels, n) float32 noise under a syllable-like envelope: sharp in cross-correlation."""
    n = round(seconds * rate)
    noise = np.random.default_rng(0).standard_normal((channels, n + 64)).astype(np.float32)
    smooth = np.stack([np.convolve(row, np.hanning(9) / 4, "same")[:n] for row in noise])
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * np.arange(n) / rate)
    return (0.2 * smooth * envelope).clip(-1, 1).astype(np.float32)


def write_audio(path, samples, rate, codec, layout="mono", sample_format=None, container=None):
    """Encode (channels, n) float32 with PyAV alone, independently of the code under test."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        if sample_format:
            stream.format = sample_format
        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def write_clip(path, frames, fps=25, codec="libx264", pts=None, container=None, options=None):
    """Encode (t, h, w, 3) uint8 with PyAV alone; `pts` are times in milliseconds."""
    from fractions import Fraction

    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=fps, options=options or {"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = index if pts is None else int(pts[index])
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def grey_ramp(count: int, size: int = 64) -> np.ndarray:
    """(count, size, size, 3) flat frames whose level tells their index: 20, 28, 36, ..."""
    levels = (20 + 8 * np.arange(count) % 216).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, 3)).copy()
