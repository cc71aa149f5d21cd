"""Error of motion sampled in few steps, against many steps from the same noise.

    python benchmarks/solvers.py [--config demo] [--audio examples/speech.flac] [-o results.json]

Both solvers integrate the same ODE and converge to the same motion; the reference is DDIM with
--reference steps. The distance of each setting from it is given in standard deviations of the
motion, beside the distance between two seeds of the reference. For the time of a step see `vasa-jax
benchmark --what sampler`.
"""

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import numpy as np

from vasa_jax.bundle import resolve_bundle
from vasa_jax.compile_cache import enable_compile_cache
from vasa_jax.inference.pipeline import Pipeline
from vasa_jax.inference.request import Controls
from vasa_jax.media.audio import open_audio
from vasa_jax.typing import POSE_DIM

SPEECH = Path(__file__).parent.parent / "examples" / "speech.flac"
SETTINGS = tuple((solver, steps) for steps in (50, 25, 15, 10, 5) for solver in ("ddim", "dpmpp2m"))


def motion(bundle, solver, steps, waveform, seeds):
    """Normalised motion (seeds, t, m) of one audio clip."""
    diffusion = replace(bundle.config.diffusion, sampler=solver, steps=steps)
    pipeline = Pipeline(
        bundle._replace(config=replace(bundle.config, diffusion=diffusion)), batch=len(seeds)
    )
    features = [pipeline.audio(waveform)] * len(seeds)
    count = len(seeds)
    sampled = pipeline.generate_motion([None] * count, features, [Controls()] * count, seeds)
    return bundle.stats.normalise(np.stack(sampled))


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default="demo", help="a config whose weights are trained")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--audio", type=Path, default=SPEECH)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--reference", type=int, default=250)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    enable_compile_cache()
    bundle = resolve_bundle(arguments.config, arguments.checkpoint, ["precision=f32"])
    if not bundle.trained:
        raise SystemExit(f"{arguments.config}: has no trained weights, so nothing to compare")
    waveform = open_audio(arguments.audio).waveform
    seeds = list(range(arguments.seeds))
    goal = motion(bundle, "ddim", arguments.reference, waveform, seeds)
    apart = rms(goal[1:] - goal[:-1])
    rows = []
    print(f"two seeds of the reference lie {apart:.3f} apart (standard deviations of the motion)")
    print("| solver | steps | all | share of two seeds | pose | dynamics | speed |")
    print("|---|---|---|---|---|---|---|")
    for solver, steps in SETTINGS:
        found = motion(bundle, solver, steps, waveform, seeds)
        away = found - goal
        speed = np.abs(np.diff(found, axis=1)).mean() / np.abs(np.diff(goal, axis=1)).mean()
        row = {
            "solver": solver,
            "steps": steps,
            "rms": rms(away),
            "share_of_seeds": rms(away) / apart,
            "pose": rms(away[..., :POSE_DIM]),
            "dyn": rms(away[..., POSE_DIM:]),
            "speed_ratio": float(speed),
        }
        rows.append(row)
        print(
            f"| {solver} | {steps} | {row['rms']:.3f} | {row['share_of_seeds']:.3f} | "
            f"{row['pose']:.3f} | {row['dyn']:.3f} | {speed:.3f} |",
            flush=True,
        )
    if arguments.output:
        report = {
            "question": "distance of few sampler steps from many, in standard deviations",
            "config": arguments.config,
            "audio": arguments.audio.name,
            "seeds": len(seeds),
            "frames": goal.shape[1],
            "reference": {"solver": "ddim", "steps": arguments.reference},
            "two_seeds_apart": apart,
            "rows": rows,
            "device": jax.devices()[0].device_kind,
            "jax": jax.__version__,
            "python": platform.python_version(),
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
