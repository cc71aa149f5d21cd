"""Memory, FLOPs, and time to trace and compile of one training step, by XLA.

    python benchmarks/train_lowering.py --config vasa1 --stage face -o benchmarks/results/NAME.json

Lowers the step from shapes, without parameters, for CPU, TPU and CUDA; --compile also compiles it
for this machine, which takes minutes at full size on a CPU. Losses of stage 1 with frozen networks
(VGG-19, dlib's identity network) are included only with --frozen.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

from vasa_jax.benchmark.training_benchmarks import training_task
from vasa_jax.config import get_config
from vasa_jax.device import tracing_for
from vasa_jax.training.mesh import single_device
from vasa_jax.training.program import build_program


def count(tree):
    """Bytes of a tree of shapes."""
    return sum(int(np.prod(x.shape)) * np.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))


def measure(task, compiling):
    """Measure one task."""
    program = build_program(task, single_device())
    state = program.abstract_state
    report = {
        "batch": task.train.batch,
        "parameters": sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state.params)),
        "state_bytes": count(state),
        "lowering": {},
    }
    for platform in ("cpu", "tpu", "cuda"):
        # Traced anew: a CPU's convolutions have another form.
        with tracing_for(platform):
            start = time.perf_counter()
            traced = program.jitted.trace(state, task.frozen, task.batch)
            middle = time.perf_counter()
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            report["lowering"][platform] = {
                "trace_seconds": round(middle - start, 2),
                "seconds": round(time.perf_counter() - middle, 2),
                "stablehlo_operations": text.count(" stablehlo."),
                "stablehlo_characters": len(text),
            }
    lowered = program.jitted.trace(state, task.frozen, task.batch).lower()
    costs = lowered.cost_analysis() or {}
    # Before optimisation; loop bodies (accumulation) count once.
    report["flops_lowered"] = costs.get("flops")
    if compiling:
        start = time.perf_counter()
        compiled = lowered.compile()
        report["compile_seconds"] = round(time.perf_counter() - start, 2)
        report["flops_compiled"] = (compiled.cost_analysis() or {}).get("flops")
        memory = compiled.memory_analysis()
        names = ("argument", "output", "temp", "alias", "generated_code")
        report["memory_bytes"] = {n: getattr(memory, f"{n}_size_in_bytes", None) for n in names}
    return report


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="debug")
    parser.add_argument("--stage", choices=("face", "motion"), default="face")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--frozen", action="store_true", help="with VGG and identity losses")
    parser.add_argument("--compile", action="store_true", help="compile too: memory and FLOPs")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    config = get_config(arguments.config, arguments.set)
    report = {
        "question": "memory and FLOPs of one training step",
        "config": arguments.config,
        "stage": arguments.stage,
        "set": arguments.set,
        "frozen_networks": arguments.frozen,
        "precision": config.precision,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        **measure(
            training_task(config, arguments.stage, frozen=arguments.frozen), arguments.compile
        ),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
