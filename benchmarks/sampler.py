"""Seconds per window of motion: the jitted scan against torch eager.

    python benchmarks/sampler.py --config vasa1 --pairs 3 -o benchmarks/results/sampler.json

Both run on the CPU in float32 with the same weights, sizes and number of threads, in interleaved
pairs, so that other load on the machine affects both. One forward pass of each is compared before.
FLOPs are XLA's of one evaluation times the steps, since XLA counts a scan's body once.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import time
import types
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

from vasa_jax.config import apply_overrides, get_config
from vasa_jax.extensions.build import build_motion_model, init_motion_model
from vasa_jax.motion.conditions import null_conditions
from vasa_jax.motion.guidance import stack_branches
from vasa_jax.motion.sampler import LinenNetwork, make_plan, sample_window

sys.path.insert(0, str(Path(__file__).parent))
from peers.torch_dit import TorchMotionTransformer, load_flax


def random_window(config, rng):
    """Conditions of one window: all but emotion, as in the paper's default."""
    conditions = null_conditions(config)
    values = {
        name: jnp.asarray(rng.standard_normal(spec.shape), jnp.float32)
        for name, spec in config.fake_window().items()
        if name != "motion"
    }
    yes = jnp.ones(1, bool)
    return conditions._replace(
        **values,
        has_context=yes,
        has_audio=yes,
        has_gaze=yes,
        has_distance=yes,
        audio_valid=jnp.ones((1, config.motion.window), bool),
    )


def torch_window(model, stacked, table, weights, start):
    """`sample_window` as a loop in torch."""
    with torch.no_grad():
        embedded = model.embed(stacked)
        x, previous = start, torch.zeros_like(start)
        for i in range(len(table.t)):
            t = torch.full((1 + len(weights),), int(table.t[i]))
            x0 = model.denoise(embedded, x.expand(len(t), -1, -1), t)
            nulls = (x0[1:] * weights[:, None, None]).sum(0, keepdim=True)
            x0 = (1 + weights.sum()) * x0[:1] - nulls
            x = (
                float(table.x[i]) * x
                + float(table.x0[i]) * x0
                + float(table.previous[i]) * previous
            )
            previous = x0
    return x


def spread(seconds):
    return {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "all_s": [round(s, 4) for s in seconds],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default="vasa1")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    torch.set_num_threads(os.cpu_count())
    overrides = [
        "precision=f32",
        "motion.extensions.residual_prior=false",
        f"diffusion.steps={args.steps}",
    ]
    config = apply_overrides(get_config(args.config), overrides)
    rng = np.random.default_rng(0)

    # Random weights by numpy: compiling their initialisers takes long, and speed does not depend
    # on their distribution.
    shapes = jax.eval_shape(partial(init_motion_model, config), jax.random.key(0))
    params = jax.tree.map(
        lambda s: jnp.asarray(rng.standard_normal(s.shape) / s.shape[0] ** 0.5, jnp.float32), shapes
    )
    network, conditions = LinenNetwork(build_motion_model(config)), random_window(config, rng)
    plan, weights = make_plan(config.diffusion)
    stacked = stack_branches(conditions, plan.branches)
    twin = TorchMotionTransformer(config.motion, config.face.motion_dim, config.audio.dim)
    load_flax(twin, params)
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in stacked._asdict().items()}
    tensors = types.SimpleNamespace(**tensors)

    branches = 1 + len(plan.branches)
    shape = (branches, config.motion.window, config.face.motion_dim)
    x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    t = jnp.full(branches, config.diffusion.timesteps // 2)
    embed = jax.jit(network.embed)
    embedded = embed(params, stacked)
    denoise = jax.jit(network.denoise).lower(params, embedded, x, t).compile()
    flops = denoise.cost_analysis()["flops"]
    ours = np.asarray(denoise(params, embedded, x, t))
    with torch.no_grad():
        theirs = twin.denoise(
            twin.embed(tensors), torch.tensor(np.array(x)), torch.tensor(np.array(t))
        )
    difference = float(np.abs(ours - theirs.numpy()).max() / np.abs(ours).max())
    if not difference < 1e-4:
        sys.exit(f"the two networks differ by {difference}: there is nothing to compare")

    keys = jax.random.key(0)[None]
    begun = time.perf_counter()
    window = jax.jit(sample_window, static_argnums=(0, 1))
    window = window.lower(network, plan, params, conditions, keys, weights).compile()
    compile_s = time.perf_counter() - begun
    table = plan.sampler.table(plan.schedule, plan.steps)
    start, torch_weights = torch.randn(1, *shape[1:]), torch.tensor(np.array(weights))

    def run_jax():
        window(params, conditions, keys, weights).block_until_ready()

    def run_torch():
        torch_window(twin, tensors, table, torch_weights, start)

    times = {"jax": [], "torch": []}
    for pair in range(args.pairs + 1):  # the first pair warms up
        for name, run in (("jax", run_jax), ("torch", run_torch)):
            begun = time.perf_counter()
            run()
            if pair:
                times[name].append(time.perf_counter() - begun)
    ratios = [j / t for j, t in zip(times["jax"], times["torch"], strict=True)]
    result = {
        "question": "seconds per window of motion: jitted scan against torch eager, float32, CPU",
        "device": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "versions": {
            "jax": jax.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "config": args.config,
        "motion": dataclasses.asdict(config.motion),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "branches": branches,
        "steps": args.steps,
        "gflop_per_step": flops / 1e9,
        "gflop_per_window": flops * args.steps / 1e9,
        "relative_difference_of_one_forward": difference,
        "compile_s": compile_s,
        "jax": spread(times["jax"]),
        "torch_eager": spread(times["torch"]),
        "jax_over_torch": {
            "median": statistics.median(ratios),
            "min": min(ratios),
            "max": max(ratios),
        },
    }
    text = json.dumps(result, indent=2) + "\n"
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
