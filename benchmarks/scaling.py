"""FLOPs and bytes of one of eight devices, by mesh.

    python benchmarks/scaling.py --config debug -o benchmarks/results/scaling_debug.json

The steps of both stages are compiled for 8 virtual CPU devices and not run: FLOPs are XLA's of one
device's program; parameters, optimiser state and batch are the bytes of its shards; activations are
its temporary memory. Writes a JSON, and a Markdown table beside it.
"""

import argparse
import json
import math
import os
import re
from pathlib import Path

import jax
import numpy as np

DEVICES = 8
MESHES = {
    "one device": (1, 1, 1),
    "data 8": (8, 1, 1),
    "fsdp 8": (1, 8, 1),
    "tensor 2": (1, 1, 2),
    "data 4, tensor 2": (4, 1, 2),
    "data 2, fsdp 2, tensor 2": (2, 2, 2),
}
COLUMNS = {
    "gflop": "GFLOP",
    "parameters_mb": "parameters MB",
    "state_mb": "whole state MB",
    "batch_mb": "batch MB",
    "activations_mb": "activations MB",
    "gathered_mb": "gathered MB",
    "reduced_mb": "reduced MB",
}


def per_device(tree, shardings):
    """Bytes of one device's shards of a tree of shapes."""
    parts = jax.tree.map(
        lambda x, s: math.prod(s.shard_shape(x.shape)) * np.dtype(x.dtype).itemsize, tree, shardings
    )
    return sum(jax.tree.leaves(parts))


def collected(text, names):
    """Bytes of the results of the named collectives in a compiled program."""
    sizes = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "f16": 2}
    total = 0
    for line in text.splitlines():
        found = re.search(rf"= (.*?) (?:{'|'.join(names)})(?:-start)?\(", line)
        if found:
            for kind, dims in re.findall(r"(\w+)\[([\d,]*)\]", found[1]):
                count = math.prod(int(d) for d in dims.split(",") if d)
                total += sizes.get(kind, 4) * count
    return total


def measure(config, stage, shape):
    """One row: the step of a stage on one mesh."""
    from vasa_jax.benchmark.training_benchmarks import training_task
    from vasa_jax.compile_cache import QUICK_COMPILE
    from vasa_jax.config.overrides import apply_overrides
    from vasa_jax.training.mesh import Layout, make_mesh
    from vasa_jax.training.program import build_program

    axes = dict(zip(("data", "fsdp", "tensor"), shape, strict=True))
    config = apply_overrides(config, [f"mesh.{k}={v}" for k, v in axes.items()])
    task = training_task(config, stage, frozen=False)
    devices = jax.devices()[: math.prod(shape)]
    program = build_program(task, Layout(make_mesh(config.mesh, devices), config.mesh.fsdp_floor))
    state = program.abstract_state
    lowered = program.jitted.lower(state, task.frozen, task.batch)
    # Skips LLVM's optimisation alone: XLA's schedule and allocation are unchanged.
    compiled = lowered.compile(compiler_options=QUICK_COMPILE)
    text = compiled.as_text() if len(devices) > 1 else ""
    mb = 1e6
    return {
        "stage": stage,
        "mesh": axes,
        "gflop": compiled.cost_analysis()["flops"] / 1e9,
        "parameters_mb": per_device(state.params, program.state.params) / mb,
        "state_mb": per_device(state, program.state) / mb,
        "batch_mb": per_device(task.batch, program.batch) / mb,
        "activations_mb": compiled.memory_analysis().temp_size_in_bytes / mb,
        "gathered_mb": collected(text, ["all-gather"]) / mb,
        "reduced_mb": collected(text, ["all-reduce", "reduce-scatter"]) / mb,
    }


def markdown(report):
    """The tables; in brackets each value relative to one device."""
    lines = []
    for stage in ("face", "motion"):
        rows = {name: row for name, row in report["rows"].items() if row["stage"] == stage}
        if not rows:
            continue
        batch = report["batch"][stage]
        lines += [
            f"### train {stage}, {report['config']}, global batch {batch}",
            "",
            f"| mesh | {' | '.join(COLUMNS.values())} |",
            f"|{'---|' * (len(COLUMNS) + 1)}",
        ]
        alone = next(iter(rows.values()))
        for name, row in rows.items():
            cells = []
            for key in COLUMNS:
                share = f" ({row[key] / alone[key]:.2f})" if alone[key] else ""
                cells.append(f"{row[key]:.3g}{share}")
            lines.append(f"| {name.split(': ')[1]} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="debug")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--stage", action="append", choices=("face", "motion"), default=[])
    parser.add_argument("--batch", type=int, default=8, help="global batch of both stages")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES)

    from vasa_jax.config import get_config

    sizes = [f"train_{s}.batch={arguments.batch}" for s in ("face", "motion")]
    config = get_config(arguments.config, [*sizes, *arguments.set])
    report = {
        "question": "FLOPs and bytes of one device by mesh, from compiled programs",
        "config": arguments.config,
        "set": arguments.set,
        "precision": config.precision,
        "batch": {"face": config.train_face.batch, "motion": config.train_motion.batch},
        "jax": jax.__version__,
        "rows": {},
    }
    if arguments.output and arguments.output.exists():  # resume
        before = json.loads(arguments.output.read_text())
        if {**before, "rows": {}} == json.loads(json.dumps(report)):
            report["rows"] = before["rows"]
    for stage in arguments.stage or ("motion", "face"):
        for name, shape in MESHES.items():
            if f"{stage}: {name}" in report["rows"]:
                continue
            row = measure(config, stage, shape)
            report["rows"][f"{stage}: {name}"] = row
            print(stage, name, {k: round(row[k], 4) for k in COLUMNS}, flush=True)
            if arguments.output:
                beside = arguments.output.with_suffix(".part")
                beside.write_text(json.dumps(report, indent=1) + "\n")
                os.replace(beside, arguments.output)
    table = markdown(report)
    print(table)
    if arguments.output:
        arguments.output.with_suffix(".md").write_text(table + "\n")


if __name__ == "__main__":
    main()
