"""`batch`: clips of six lengths on all devices of this host, against one after another on one."""

import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from vasa_jax.audio import num_frames
from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.lab import Lab, fake_portrait, fake_speech
from vasa_jax.inference.lanes import runs_of
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.render import Clip, render

SHARES = (1.0, 0.3, 0.7, 0.5, 0.9, 0.6)
"""Of the longest clip's length."""
REPORT = Reporter("quiet")


def batch_cases(lab: Lab) -> Iterator[Case]:
    """Portraits and sound in memory to frames in memory, by the number of devices."""
    devices = jax.local_devices()
    for count in sorted({1, len(devices)}):
        settings = {
            **lab.settings,
            "seconds": lab.options.seconds,
            "clips": len(SHARES),
            "devices": count,
            "decode_batch": lab.config.inference.decode_batch,
        }
        yield Case("batch", settings, "frames", lambda count=count: _batch(lab, count))


def _batch(lab: Lab, count: int) -> Ready:
    begun = time.perf_counter()
    alone, together = (Pipeline(lab.bundle, devices=jax.local_devices()[:n]) for n in (1, count))
    alone.compile(REPORT)
    together.compile(REPORT)
    compile_s = time.perf_counter() - begun
    portrait = fake_portrait(lab.config.face.image_size)
    portraits = [np.roll(portrait, 8 * k, axis=1) for k in range(len(SHARES))]
    sounds = [fake_speech(lab.options.seconds * share) for share in SHARES]
    frames = sum(num_frames(len(sound)) for sound in sounds)
    seconds: dict[str, list[float]] = {"alone": [], "together": []}

    def make(pipeline: Pipeline, size: int, name: str) -> None:
        start = time.perf_counter()
        made = 0
        for some in runs_of(zip(portraits, sounds, strict=True), size):
            sources = pipeline.encode_all([picture for picture, _ in some])
            clips = [
                Clip(source, sound, num_frames(len(sound)))
                for source, (_, sound) in zip(sources, some, strict=True)
            ]
            made += sum(len(batch) for _, batch in render(clips, pipeline, REPORT))
        if made != frames:
            raise RuntimeError(f"made {made} frames, not {frames}")
        seconds[name].append(time.perf_counter() - start)

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
        restart=lambda: [times.clear() for times in seconds.values()],
        before=lambda: make(alone, 1, "alone"),
    )
