"""`sampler` and `audio`: one window of motion, and the features of one chunk of audio."""

import itertools
import time
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.chunks import encode_clip
from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.subject import BenchmarkModel, fake_speech
from vasa_jax.benchmark.work import count_work
from vasa_jax.bundle import build_networks
from vasa_jax.config import Config
from vasa_jax.motion.sampler import (
    LinenNetwork,
    WindowInputs,
    initial_carry,
    make_plan,
    sample_windows,
)
from vasa_jax.typing import EMOTIONS, FPS

BATCHES, STEPS, BRANCHES = (1, 4, 16, 64), (10, 25, 50), (1, 2, 3)
GUIDED = {
    1: ("diffusion.guidance_audio=0", "diffusion.guidance_gaze=0"),
    2: ("diffusion.guidance_audio=0.5", "diffusion.guidance_gaze=0"),
    3: ("diffusion.guidance_audio=0.5", "diffusion.guidance_gaze=1"),
}


def sampler_cases(model: BenchmarkModel) -> Iterator[Case]:
    """One window, with steps, guidance branches and batch varied one at a time.

    Base: the config's steps, three branches (as in the paper), batch 1.
    """
    steps = model.options.steps or (model.config.diffusion.steps, *STEPS)
    batches = model.options.batches or BATCHES
    base = (steps[0], 3, batches[0])
    if model.options.full:
        chosen = list(itertools.product(steps, BRANCHES, batches))
    else:
        chosen = [(base[0], 3, batch) for batch in batches]
        chosen += [(count, 3, base[2]) for count in steps]
        chosen += [(base[0], branches, base[2]) for branches in BRANCHES]
    for count, branches, batch in dict.fromkeys(chosen):
        if count > model.config.diffusion.timesteps:
            continue
        config = model.change(f"diffusion.steps={count}", *GUIDED[branches])
        settings = {**model.settings, "steps": count, "branches": branches, "batch": batch}
        yield Case(
            "sampler",
            settings,
            "windows",
            partial(_sampler, model, config, batch),
        )


def window_inputs(config: Config, batch: int, windows: int = 1) -> WindowInputs:
    """Random inputs with every condition but emotion, as in the paper's default."""
    rng = np.random.default_rng(0)
    lead, frames = (batch, windows), config.motion.window
    f32 = lambda *shape: jnp.asarray(rng.standard_normal((*lead, *shape), np.float32))  # noqa: E731
    return WindowInputs(
        audio=f32(frames, config.audio.dim),
        audio_valid=jnp.ones((*lead, frames), bool),
        gaze=f32(2),
        distance=f32(1),
        emotion=f32(len(EMOTIONS)),
        has_gaze=jnp.ones(lead, bool),
        has_distance=jnp.ones(lead, bool),
        has_emotion=jnp.zeros(lead, bool),
    )


def _sampler(model: BenchmarkModel, config: Config, batch: int) -> Ready:
    network = LinenNetwork(build_networks(config).motion)
    plan, weights = make_plan(config.diffusion)
    dims = config.face.motion_dim, config.audio.dim
    arguments = (
        {"params": model.params["motion"]},
        initial_carry(batch, config.motion.context, *dims),
        window_inputs(config, batch),
        jax.random.split(jax.random.key(0), batch),
        weights,
    )
    work = count_work(lambda *a: sample_windows(network, plan, *a), *arguments)
    begun = time.perf_counter()
    program = sample_windows.lower(network, plan, *arguments).compile()
    compile_s = time.perf_counter() - begun
    seconds: list[float] = []

    def run():
        begun = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        seconds.append(time.perf_counter() - begun)

    def figures():
        window = float(np.median(seconds))
        return {
            "ms_per_window": 1e3 * window,
            "ms_per_step": 1e3 * window / plan.steps,
            # Below 1 is faster than real time.
            "share_of_playback": window / (config.motion.window / FPS),
        }

    return Ready(run, batch, compile_s, work, program, figures, seconds.clear)


def audio_cases(model: BenchmarkModel) -> Iterator[Case]:
    """Features of one chunk of audio, from host memory to host memory."""
    seconds = model.config.audio.chunk_seconds
    settings = {**model.settings, "encoder": model.config.audio.encoder, "chunk_seconds": seconds}
    yield Case("audio", settings, "seconds", partial(_audio, model, seconds))


def _audio(model: BenchmarkModel, seconds: float) -> Ready:
    config = model.config
    encoder = build_networks(config).audio
    variables = {"params": model.bundle.params["audio"]}
    waveform = fake_speech(seconds)
    row = jax.ShapeDtypeStruct((1, len(waveform)), jnp.float32)
    work = count_work(encoder.apply, variables, row)
    run = lambda: encode_clip(encoder, variables, waveform, config.audio)  # noqa: E731
    begun = time.perf_counter()
    run()  # compiles; its own computation is a small part of the time
    return Ready(run, seconds, time.perf_counter() - begun, work)
