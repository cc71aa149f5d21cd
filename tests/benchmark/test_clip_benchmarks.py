"""Latency of streamed frames, computed by hand."""

import pytest

from vasa_jax.benchmark.clip_benchmarks import online_figures
from vasa_jax.inference.stream import FrameChunk


def test_online_figures_by_hand():
    import numpy as np

    frames = np.zeros((2, 1, 1, 3), np.uint8)
    # Two windows, heard at 0 and 1 s; the last pair of the second comes 100 ms after its first.
    runs = [
        [
            FrameChunk(frames, 0.0, 0.010),
            FrameChunk(frames, 0.0, 0.030),
            FrameChunk(frames, 1.0, 1.020),
            FrameChunk(frames, 1.0, 1.120),
        ]
    ]
    found = online_figures(runs)
    assert found["first_frame_ms"]["min"] == pytest.approx(10)
    assert found["first_frame_ms"]["max"] == pytest.approx(20)
    assert found["latency_ms"]["max"] == pytest.approx(120)
    assert found["frame_interval_ms"]["min"] == pytest.approx(10)
    assert found["frame_interval_ms"]["max"] == pytest.approx(50)
    # Frame 2 of the second window is due 80 ms after its first, and came 100 ms after it.
    assert found["late_share"] == pytest.approx(1 / 8)
