"""`end-to-end` and `online`: whole clips, as a user gets them."""

import importlib.util
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.lab import Lab, fake_portrait, fake_speech
from vasa_jax.errors import UserError
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls, Request
from vasa_jax.inference.stream import Piece, cut, stream, warm_up
from vasa_jax.typing import FPS, SAMPLE_RATE, Float

ONLINE_BATCHES = (1, 2, 4, 8)
BLOCK_SECONDS = 0.04


def end_to_end_cases(lab: Lab) -> Iterator[Case]:
    """A clip offline: portrait and sound in memory to frames in memory, and to a video file."""
    for video in (False, True):
        settings = {
            **lab.settings,
            "seconds": lab.options.seconds,
            "video": video,
            "decode_batch": lab.config.inference.decode_batch,
        }
        yield Case("end-to-end", settings, "frames", lambda video=video: _offline(lab, video))


def _offline(lab: Lab, video: bool) -> Ready:
    if video and importlib.util.find_spec("av") is None:
        raise UserError("PyAV is not installed: no video can be written")
    pipeline = Pipeline(lab.bundle)
    sound, portrait = fake_speech(lab.options.seconds), fake_portrait(lab.config.face.image_size)
    frames = round(lab.options.seconds * FPS)
    begun = time.perf_counter()
    pipeline.compile(Reporter("quiet"))
    compile_s = time.perf_counter() - begun
    stages: list[dict[str, float]] = []
    make = _to_file if video else _to_memory

    def run():
        report = Reporter("quiet")
        with tempfile.TemporaryDirectory(prefix="vasa_jax_benchmark_") as folder:
            made = make(pipeline, portrait, sound, report, Path(folder))
        if made != frames:
            raise RuntimeError(f"made {made} frames, not {frames}")
        stages.append(report.seconds)

    def figures() -> dict[str, Any]:
        medians = {name: float(np.median([s[name] for s in stages])) for name in stages[0]}
        whole = sum(medians.values())
        return {"stage_seconds": medians, "times_real_time": lab.options.seconds / whole}

    return Ready(run, frames, compile_s, figures=figures, restart=stages.clear)


def _to_memory(
    pipeline: Pipeline,
    portrait: np.ndarray,
    sound: Float[np.ndarray, " n"],
    report: Reporter,
    folder: Path,
) -> int:
    del folder
    with report.stage("encode"):
        source = jax.block_until_ready(pipeline.encode(portrait))
    with report.stage("audio"):
        features = pipeline.audio(sound)
    with report.stage("sample"):
        motion = pipeline.sample([features], [Controls()], [0], sources=[source], sounds=[sound])[0]
    with report.stage("decode"):
        return sum(len(batch) for batch in pipeline.decode(source, pipeline.stay(source, motion)))


def _to_file(
    pipeline: Pipeline,
    portrait: np.ndarray,
    sound: Float[np.ndarray, " n"],
    report: Reporter,
    folder: Path,
) -> int:
    from vasa_jax.inference.generate import Inputs, Portrait, generate
    from vasa_jax.inference.portrait import whole_image_crop
    from vasa_jax.media.audio import open_audio

    speech = folder / "speech.wav"
    with wave.open(str(speech), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    request = Request(image=folder / "portrait.png", audio=speech, output=folder / "out.mp4")
    crop = whole_image_crop(portrait, len(portrait))
    return generate(request, Inputs(Portrait(portrait, crop), open_audio(speech)), pipeline, report)


def online_cases(lab: Lab) -> Iterator[Case]:
    """A clip heard in blocks of 40 ms, by the number of frames decoded together.

    Blocks are given as fast as they are taken: latency is counted from the moment when a window's
    last sound is there, so waiting for a real speaker would not change it.
    """
    for batch in lab.options.batches or ONLINE_BATCHES:
        settings = {
            **lab.settings,
            "seconds": lab.options.seconds,
            "decode_batch": batch,
            "steps": lab.config.diffusion.steps,
        }
        yield Case("online", settings, "frames", lambda batch=batch: _online(lab, batch))


def _online(lab: Lab, batch: int) -> Ready:
    config = lab.change(f"inference.decode_batch={batch}")
    pipeline = Pipeline(lab.bundle._replace(config=config))
    sound = fake_speech(lab.options.seconds)
    frames = round(lab.options.seconds * FPS)
    begun = time.perf_counter()
    source = pipeline.encode(fake_portrait(config.face.image_size))
    warm_up(pipeline, source)
    compile_s = time.perf_counter() - begun
    runs: list[list[Piece]] = []

    def run():
        pieces = stream(pipeline, source, cut(sound, BLOCK_SECONDS))
        # Frames are dropped at once: a clip of 512 px fills gigabytes.
        runs.append([Piece(p.frames[:, :1, :1], p.heard, p.made) for p in pieces])
        if sum(len(p.frames) for p in runs[-1]) != frames:
            raise RuntimeError(f"made {sum(len(p.frames) for p in runs[-1])} frames, not {frames}")

    return Ready(run, frames, compile_s, figures=lambda: online_figures(runs), restart=runs.clear)


def online_figures(runs: list[list[Piece]]) -> dict[str, Any]:
    """Milliseconds from a window's last sound to its first frame, and to every frame; the time from
    one frame to the next; and the share of frames that come too late for playback at 25 fps which
    starts with its window's first frame."""
    first, every, gaps, late = [], [], [], []
    for pieces in runs:
        windows: dict[float, list[Piece]] = {}
        for piece in pieces:
            windows.setdefault(piece.heard, []).append(piece)
        for window in windows.values():
            first.append(window[0].made - window[0].heard)
            number = 0
            for piece, before in zip(window, [None, *window], strict=False):
                if before is not None:
                    gaps += [(piece.made - before.made) / len(piece.frames)] * len(piece.frames)
                for _ in piece.frames:
                    every.append(piece.made - piece.heard)
                    late.append(piece.made > window[0].made + number / FPS)
                    number += 1
    return {
        "first_frame_ms": _milliseconds(first),
        "latency_ms": _milliseconds(every),
        "frame_interval_ms": _milliseconds(gaps),
        "late_share": float(np.mean(late)),
    }


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = 1e3 * np.asarray(seconds)
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {
        "p50": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "min": float(values.min()),
        "max": float(values.max()),
    }
