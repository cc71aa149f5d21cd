"""`batch`: clips of six lengths on all devices, against one after another on one device."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from vasa_jax.audio import num_frames
from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.subject import BenchmarkModel, fake_portrait, fake_speech
from vasa_jax.errors import UserError
from vasa_jax.inference.lanes import batched
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.render import Clip, render

LENGTHS = (1.0, 0.3, 0.7, 0.5, 0.9, 0.6)  # of the clips, relative to the longest
REPORT = Reporter("quiet")


def batch_cases(model: BenchmarkModel) -> Iterator[Case]:
    """Portraits and audio in memory to frames in memory, on one device and on all."""
    devices = jax.local_devices()
    for count in sorted({1, len(devices)}):
        settings = {
            **model.settings,
            "seconds": model.options.seconds,
            "clips": len(LENGTHS),
            "devices": count,
            "decode_batch": model.config.inference.decode_batch,
        }
        yield Case("batch", settings, "frames", partial(_batch, model, count))


def _batch(model: BenchmarkModel, count: int) -> Ready:
    begun = time.perf_counter()
    alone, together = (Pipeline(model.bundle, devices=jax.local_devices()[:n]) for n in (1, count))
    alone.compile(REPORT)
    together.compile(REPORT)
    compile_s = time.perf_counter() - begun
    portrait = fake_portrait(model.config.face.image_size)
    portraits = [np.roll(portrait, 8 * k, axis=1) for k in range(len(LENGTHS))]
    waveforms = [fake_speech(model.options.seconds * share) for share in LENGTHS]
    frames = sum(num_frames(len(waveform)) for waveform in waveforms)
    seconds: dict[str, list[float]] = {"alone": [], "together": []}

    def make(pipeline: Pipeline, size: int, name: str) -> None:
        start = time.perf_counter()
        made = 0
        for some in batched(zip(portraits, waveforms, strict=True), size):
            sources = pipeline.encode_all([image for image, _ in some])
            clips = [
                Clip(source, waveform, num_frames(len(waveform)))
                for source, (_, waveform) in zip(sources, some, strict=True)
            ]
            for _, frames_or_error in render(clips, pipeline, REPORT):
                if isinstance(frames_or_error, UserError):
                    raise frames_or_error
                made += len(frames_or_error)
        if made != frames:
            raise RuntimeError(f"made {made} frames, not {frames}")
        seconds[name].append(time.perf_counter() - start)

    def restart() -> None:
        for times in seconds.values():
            times.clear()

    def figures() -> dict[str, Any]:
        ratios = np.asarray(seconds["alone"]) / np.asarray(seconds["together"])
        median = float(np.median(seconds["alone"]))
        return {
            "one_by_one_frames_per_second": frames / median,
            "over_one_by_one": {
                "median": float(np.median(ratios)),
                "min": float(ratios.min()),
                "max": float(ratios.max()),
            },
        }

    return Ready(
        lambda: make(together, together.batch, "together"),
        frames,
        compile_s,
        figures=figures,
        restart=restart,
        before=lambda: make(alone, 1, "alone"),
    )
