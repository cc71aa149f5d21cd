"""Speed relative to torch on the same machine: decoder, transformer, volume resampling.

    python benchmarks/peers/run.py --config vasa1 --what decoder --pairs 5 -o results.json

Both compute the same function (checked before timing) with the same weights in one process on one
device, in interleaved pairs, so that other load affects both. Speed ratios above 1 mean that ours
is faster. On a CPU torch uses one thread a core; on a GPU both run in the config's precision.
"""

import argparse
import dataclasses
import gc
import json
import os
import statistics
import sys
import time
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

from vasa_jax.benchmark.environment import environment
from vasa_jax.benchmark.subject import BenchmarkModel, random_params
from vasa_jax.bundle import build_networks
from vasa_jax.config import get_config
from vasa_jax.extensions.residual_prior import PARAMETER as PRIOR
from vasa_jax.face.conv import LayerOptions, fold_weight_standardisation
from vasa_jax.face.decoder import Decoder
from vasa_jax.face.sampling import identity_grid, sample_volume
from vasa_jax.inference.programs import narrow
from vasa_jax.motion.guidance import stack_branches
from vasa_jax.motion.sampler import LinenNetwork, make_plan, sample_window

sys.path.insert(0, str(Path(__file__).parent.parent))
from peers.torch_decoder import TorchDecoder, to_torch_volume
from peers.torch_decoder import load_flax as load_decoder
from peers.torch_dit import TorchMotionTransformer
from peers.torch_dit import load_flax as load_transformer

BARS = {"decoder": 0.9, "sampler": 1.3, "resample": 5.0}
"""Targets of the speed ratio (float32, CPU)."""


def torch_device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wait():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def difference(ours, theirs):
    """Largest absolute difference, relative to the largest value."""
    ours = np.asarray(ours, np.float32)
    return float(np.abs(ours - theirs.float().cpu().numpy()).max() / np.abs(ours).max())


def decoder(config, arguments):
    """The decoder of the paper: driven volumes to frames, in every config."""
    drawn = config.face.drawn_size
    face = dataclasses.replace(
        config.face,
        image_size=drawn,
        network_size=0,
        compose=False,
        compose_context=0,
        compose_plate=False,
        decoder_dyn=False,
    )
    batch, rng = arguments.batch, np.random.default_rng(0)
    model = Decoder(face, LayerOptions(face.norm_groups, config.dtype, folded=True))
    size, depth, channels = face.volume_size, face.volume_depth, face.volume_channels
    shape = (batch, depth, size, size, channels)
    spec = jax.ShapeDtypeStruct(shape, jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), spec)["params"]
    params = fold_weight_standardisation(random_params(shapes))
    volume = rng.standard_normal(shape, np.float32)
    twin = load_decoder(TorchDecoder(face), params)
    kind = {"bf16": torch.bfloat16, "f32": torch.float32}[config.precision]
    params = narrow(params, config.dtype)  # as inference stores them
    twin = twin.to(torch_device(), kind)
    tensor = to_torch_volume(volume).to(torch_device(), kind)
    ours = jax.jit(lambda p, v: model.apply({"params": p}, v))
    value = jnp.asarray(volume, config.dtype)
    program = ours.lower(params, value).compile()
    run = lambda: program(params, value).block_until_ready()  # noqa: E731
    picture = np.asarray(run()).transpose(0, 3, 1, 2)
    sides = {"eager": twin}
    if arguments.compile:
        sides["compile"] = torch.compile(twin)
    for name, side in sides.items():

        def theirs(side=side):
            with torch.no_grad():
                result = side(tensor)
            wait()
            return result

        yield name, run, theirs, difference(picture, theirs())


def sampler(config, arguments):
    """One window of motion, three guidance branches."""
    from sampler import random_window, torch_window

    rng = np.random.default_rng(0)
    params = BenchmarkModel(config).bundle.params["motion"]
    # The twin is the paper's network; the prior's arithmetic is a few of its output's elements.
    config = dataclasses.replace(config, motion=dataclasses.replace(config.motion, prior=False))
    params = {"params": {name: value for name, value in params.items() if name != PRIOR}}
    network = LinenNetwork(build_networks(config).motion)
    plan, weights = make_plan(config.diffusion)
    conditions = random_window(config, rng)
    stacked = stack_branches(conditions, plan.branches)
    twin = TorchMotionTransformer(config.motion, config.face.motion_dim, config.audio.dim)
    twin = load_transformer(twin, params).to(torch_device())
    tensors = {
        k: torch.from_numpy(np.array(v)).to(torch_device()) for k, v in stacked._asdict().items()
    }
    tensors = types.SimpleNamespace(**tensors)
    branches, shape = 1 + len(plan.branches), (config.motion.window, config.face.motion_dim)
    x = rng.standard_normal((branches, *shape), np.float32)
    t = np.full(branches, config.diffusion.timesteps // 2)
    embedded = network.embed(params, stacked)
    one = network.denoise(params, embedded, jnp.asarray(x), jnp.asarray(t))
    with torch.no_grad():
        given = torch.from_numpy(x).to(torch_device()), torch.from_numpy(t).to(torch_device())
        other = twin.denoise(twin.embed(tensors), *given)
    keys = jax.random.key(0)[None]
    window = jax.jit(sample_window, static_argnums=(0, 1))
    window = window.lower(network, plan, params, conditions, keys, weights).compile()
    table = plan.sampler.table(plan.schedule, plan.steps)
    start = torch.randn(1, *shape, device=torch_device())
    torch_weights = torch.tensor(np.array(weights), device=torch_device())

    def theirs():
        torch_window(twin, tensors, table, torch_weights, start)
        wait()

    run = lambda: window(params, conditions, keys, weights).block_until_ready()  # noqa: E731
    yield "eager", run, theirs, difference(one, other)


def resample(config, arguments):
    """One driven volume: trilinear, zero padding, align_corners."""
    face, rng = config.face, np.random.default_rng(0)
    size, depth = face.volume_size, face.volume_depth
    volume = rng.standard_normal((1, depth, size, size, face.volume_channels), np.float32)
    grid = 1.1 * np.asarray(identity_grid(depth, size, size))[None]
    grid = (grid + 0.1 * rng.standard_normal(grid.shape)).astype(np.float32)
    ours = jax.jit(sample_volume).lower(volume, grid).compile()
    a, b = jnp.asarray(volume), jnp.asarray(grid)
    run = lambda: ours(a, b).block_until_ready()  # noqa: E731
    result = np.asarray(run()).transpose(0, 4, 1, 2, 3)
    first = torch.from_numpy(volume).permute(0, 4, 1, 2, 3).to(torch_device())
    points = torch.from_numpy(grid).to(torch_device())
    layouts = {"NCDHW": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
    for name, layout in layouts.items():
        tensor = first.contiguous(memory_format=layout)

        def theirs(tensor=tensor):
            with torch.no_grad():
                value = torch.nn.functional.grid_sample(
                    tensor, points, mode="bilinear", padding_mode="zeros", align_corners=True
                )
            wait()
            return value

        yield name, run, theirs, difference(result, theirs())


COMPARISONS = {"decoder": decoder, "sampler": sampler, "resample": resample}


def pairs(ours, theirs, count):
    """Seconds of interleaved runs in alternating order; the first pair is a warm-up."""
    times = {"ours": [], "theirs": []}
    for number in range(count + 1):
        sides = [("ours", ours), ("theirs", theirs)]
        for name, run in sides if number % 2 else reversed(sides):
            begun = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - begun)
    return times


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="vasa1")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--what", action="append", choices=sorted(COMPARISONS), default=[])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1, help="frames of the decoder")
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    precision = [] if torch.cuda.is_available() else ["precision=f32"]
    config = get_config(arguments.config, [*precision, *arguments.set])
    torch.set_num_threads(os.cpu_count())
    torch.backends.cuda.matmul.allow_tf32 = True  # as JAX's default on the same device
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    report = {
        "question": "speed of ours over torch's: the same work in interleaved pairs",
        "environment": environment() | {"torch": torch.__version__, "on": str(torch_device())},
        "config": arguments.config,
        "set": arguments.set,
        "precision": config.precision,
        "batch": arguments.batch,
        "rows": [],
    }
    # bf16 rounds to eight bits at every layer on both sides, tensor float to eleven.
    limit = 5e-2 if config.precision == "bf16" else 1e-2 if torch.cuda.is_available() else 1e-4
    for name in arguments.what or COMPARISONS:
        for peer, ours, theirs, error in COMPARISONS[name](config, arguments):
            if not error < limit:
                sys.exit(f"{name}: the two sides differ by {error}: there is nothing to compare")
            times = pairs(ours, theirs, arguments.pairs)
            ratios = [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)]
            row = {
                "what": name,
                "peer": f"torch {peer}",
                "relative_difference": error,
                "ours_s": spread(times["ours"]),
                "torch_s": spread(times["theirs"]),
                "speed_over_torch": spread(ratios) | {"all": [round(r, 4) for r in ratios]},
                "bar_on_cpu": BARS[name],
                "load_average": os.getloadavg(),
            }
            report["rows"].append(row)
            s = row["speed_over_torch"]
            print(
                f"{name:9} against {row['peer']:22} {s['median']:6.2f} x "
                f"({s['min']:.2f} to {s['max']:.2f}), ours {row['ours_s']['median']:.4g} s, "
                f"differ by {error:.1e}",
                flush=True,
            )
            if arguments.output:
                arguments.output.parent.mkdir(parents=True, exist_ok=True)
                beside = arguments.output.with_suffix(".part")
                beside.write_text(json.dumps(report, indent=1) + "\n")
                os.replace(beside, arguments.output)
        gc.collect()


if __name__ == "__main__":
    main()
