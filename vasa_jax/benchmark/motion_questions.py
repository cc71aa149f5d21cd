"""`sampler` and `audio`: a window of motion, and a chunk of sound."""

import itertools
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.audio.chunks import encode_clip
from vasa_jax.benchmark.case import Case, Ready
from vasa_jax.benchmark.lab import Lab, fake_speech
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
from vasa_jax.typing import EMOTIONS

BATCHES, STEPS, BRANCHES = (1, 4, 16, 64), (10, 25, 50), (1, 2, 3)
GUIDED = {
    1: ("diffusion.guidance_audio=0", "diffusion.guidance_gaze=0"),
    2: ("diffusion.guidance_audio=0.5", "diffusion.guidance_gaze=0"),
    3: ("diffusion.guidance_audio=0.5", "diffusion.guidance_gaze=1"),
}


def sampler_cases(lab: Lab) -> Iterator[Case]:
    """One window by steps, guidance branches and batch; one of them varied at a time.

    The base is the config's own number of steps, three branches (the paper's), and batch 1.
    """
    steps = lab.options.steps or (lab.config.diffusion.steps, *STEPS)
    batches = lab.options.batches or BATCHES
    base = (steps[0], 3, batches[0])
    if lab.options.full:
        chosen = list(itertools.product(steps, BRANCHES, batches))
    else:
        chosen = [(base[0], 3, batch) for batch in batches]
        chosen += [(count, 3, base[2]) for count in steps]
        chosen += [(base[0], branches, base[2]) for branches in BRANCHES]
    for count, branches, batch in dict.fromkeys(chosen):
        if count > lab.config.diffusion.timesteps:
            continue
        config = lab.change(f"diffusion.steps={count}", *GUIDED[branches])
        settings = {**lab.settings, "steps": count, "branches": branches, "batch": batch}
        yield Case(
            "sampler",
            settings,
            "windows",
            lambda config=config, batch=batch: _sampler(lab, config, batch),
        )


def window_inputs(config: Config, batch: int, windows: int = 1) -> WindowInputs:
    """Random sound with every condition but emotion, as in the paper's default."""
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


def _sampler(lab: Lab, config: Config, batch: int) -> Ready:
    network = LinenNetwork(build_networks(config).motion)
    plan, weights = make_plan(config.diffusion)
    dims = config.face.motion_dim, config.audio.dim
    arguments = (
        {"params": lab.params["motion"]},
        initial_carry(batch, config.motion.context, *dims),
        window_inputs(config, batch),
        jax.random.split(jax.random.key(0), batch),
        weights,
    )
    work = count_work(lambda *a: sample_windows(network, plan, *a), *arguments)
    begun = time.perf_counter()
    program = sample_windows.lower(network, plan, *arguments).compile()
    compile_s = time.perf_counter() - begun
    seconds = []

    def run():
        begun = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        seconds.append(time.perf_counter() - begun)

    def figures():
        window = float(np.median(seconds))
        return {
            "ms_per_window": 1e3 * window,
            "ms_per_step": 1e3 * window / plan.steps,
            # The bar: a share of the time that the window lasts when played.
            "share_of_playback": window / (config.motion.window / 25),
        }

    return Ready(run, batch, compile_s, work, program, figures, seconds.clear)


def audio_cases(lab: Lab) -> Iterator[Case]:
    """Features of one chunk of sound, from host memory to host memory."""
    seconds = lab.config.audio.chunk_seconds
    settings = {**lab.settings, "encoder": lab.config.audio.encoder, "chunk_seconds": seconds}
    yield Case("audio", settings, "seconds", lambda: _audio(lab, seconds))


def _audio(lab: Lab, seconds: float) -> Ready:
    config = lab.config
    encoder = build_networks(config).audio
    variables = {"params": lab.bundle.params["audio"]}
    sound = fake_speech(seconds)
    row = jax.ShapeDtypeStruct((1, len(sound)), jnp.float32)
    work = count_work(encoder.apply, variables, row)
    run = lambda: encode_clip(encoder, variables, sound, config.audio)  # noqa: E731
    begun = time.perf_counter()
    run()  # compiles on first use; what it computes is a small part of that
    return Ready(run, seconds, time.perf_counter() - begun, work)
