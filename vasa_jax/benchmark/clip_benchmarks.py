"""`end-to-end` and `online`: whole clips, offline and streamed."""

import importlib.util
import tempfile
import time
import wave
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.subject import BenchmarkModel, fake_portrait, fake_speech
from vasa_jax.errors import UserError
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Controls, Request
from vasa_jax.inference.stream import FrameChunk, split_audio, stream, warm_up
from vasa_jax.typing import FPS, SAMPLE_RATE, Float

ONLINE_BATCHES = (1, 2, 4, 8)
BLOCK_SECONDS = 0.04


def end_to_end_cases(model: BenchmarkModel) -> Iterator[Case]:
    """Offline: portrait and audio in memory to frames in memory, and to a video file."""
    for video in (False, True):
        settings = {
            **model.settings,
            "seconds": model.options.seconds,
            "video": video,
            "decode_batch": model.config.inference.decode_batch,
        }
        yield Case("end-to-end", settings, "frames", partial(_offline, model, video))


def _offline(model: BenchmarkModel, video: bool) -> Ready:
    if video and importlib.util.find_spec("av") is None:
        raise UserError("PyAV is not installed: no video can be written")
    pipeline = Pipeline(model.bundle)
    waveform = fake_speech(model.options.seconds)
    portrait = fake_portrait(model.config.face.image_size)
    frames = round(model.options.seconds * FPS)
    begun = time.perf_counter()
    pipeline.compile(Reporter("quiet"))
    compile_s = time.perf_counter() - begun
    stages: list[dict[str, float]] = []
    make = _to_file if video else _to_memory

    def run():
        report = Reporter("quiet")
        with tempfile.TemporaryDirectory(prefix="vasa_jax_benchmark_") as folder:
            made = make(pipeline, portrait, waveform, report, Path(folder))
        if made != frames:
            raise RuntimeError(f"made {made} frames, not {frames}")
        stages.append(report.seconds)

    def figures() -> dict[str, Any]:
        medians = {name: float(np.median([s[name] for s in stages])) for name in stages[0]}
        whole = sum(medians.values())
        return {"stage_seconds": medians, "times_real_time": model.options.seconds / whole}

    return Ready(run, frames, compile_s, figures=figures, restart=stages.clear)


def _to_memory(
    pipeline: Pipeline,
    portrait: np.ndarray,
    waveform: Float[np.ndarray, " n"],
    report: Reporter,
    folder: Path,
) -> int:
    del folder
    with report.stage("encode"):
        source = jax.block_until_ready(pipeline.encode(portrait))
    with report.stage("audio"):
        features = pipeline.audio(waveform)
    with report.stage("sample"):
        motion = pipeline.generate_motion(
            [source], [features], [Controls()], [0], sounds=[waveform]
        )[0]
    with report.stage("decode"):
        return sum(len(batch) for batch in pipeline.decode(source, motion))


def _to_file(
    pipeline: Pipeline,
    portrait: np.ndarray,
    waveform: Float[np.ndarray, " n"],
    report: Reporter,
    folder: Path,
) -> int:
    from vasa_jax.inference.generate import Inputs, generate
    from vasa_jax.inference.portrait import Portrait, whole_image_crop
    from vasa_jax.media.audio import open_audio

    speech = folder / "speech.wav"
    with wave.open(str(speech), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((waveform * 32767).astype("<i2").tobytes())
    request = Request(image=folder / "portrait.png", audio=speech, output=folder / "out.mp4")
    crop = whole_image_crop(portrait, len(portrait))
    return generate(request, Inputs(Portrait(portrait, crop), open_audio(speech)), pipeline, report)


def online_cases(model: BenchmarkModel) -> Iterator[Case]:
    """Streaming with audio blocks of 40 ms, by the number of frames decoded together.

    Blocks are supplied as fast as they are consumed. Latency counts from the arrival of a window's
    last audio, so real-time input would not change it.
    """
    for batch in model.options.batches or ONLINE_BATCHES:
        settings = {
            **model.settings,
            "seconds": model.options.seconds,
            "decode_batch": batch,
            "steps": model.config.diffusion.steps,
        }
        yield Case("online", settings, "frames", partial(_online, model, batch))


def _online(model: BenchmarkModel, batch: int) -> Ready:
    config = model.change(f"inference.decode_batch={batch}")
    pipeline = Pipeline(model.bundle._replace(config=config))
    waveform = fake_speech(model.options.seconds)
    frames = round(model.options.seconds * FPS)
    begun = time.perf_counter()
    source = pipeline.encode(fake_portrait(config.face.image_size))
    warm_up(pipeline, source)
    compile_s = time.perf_counter() - begun
    runs: list[list[FrameChunk]] = []

    def run():
        pieces = stream(pipeline, source, split_audio(waveform, BLOCK_SECONDS))
        # Only one pixel of each frame is kept: a clip at 512 px takes gigabytes.
        runs.append([FrameChunk(p.frames[:, :1, :1], p.received, p.made) for p in pieces])
        if sum(len(p.frames) for p in runs[-1]) != frames:
            raise RuntimeError(f"made {sum(len(p.frames) for p in runs[-1])} frames, not {frames}")

    return Ready(run, frames, compile_s, figures=lambda: online_figures(runs), restart=runs.clear)


def online_figures(runs: list[list[FrameChunk]]) -> dict[str, Any]:
    """Latency of the first frame and of all frames, from a window's last audio; frame interval; and
    the share of frames that miss playback at 25 fps which starts with the window's first frame."""
    first, every, gaps, late = [], [], [], []
    for pieces in runs:
        windows: dict[float, list[FrameChunk]] = {}
        for piece in pieces:
            windows.setdefault(piece.received, []).append(piece)
        for window in windows.values():
            first.append(window[0].made - window[0].received)
            number = 0
            for piece, before in zip(window, [None, *window], strict=False):
                if before is not None:
                    gaps += [(piece.made - before.made) / len(piece.frames)] * len(piece.frames)
                for _ in piece.frames:
                    every.append(piece.made - piece.received)
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
