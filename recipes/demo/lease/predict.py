"""Predicted cost and duration of the lease's programs, without an accelerator.

    python -m recipes.demo.lease.predict [--compile BATCH] [--parts NAME ...] [-o FILE.json]

Every program is traced at its real size and lowered for CUDA. FLOPs and bytes are counted
(`vasa_jax.benchmark.work`): products, convolutions, gathers and scatters, each operand once,
elementwise work fused into them. With --compile, `run` is also compiled here for batches of BATCH,
and its bytes and memory as reported by XLA are scaled to the part's batch.
"""

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from recipes.demo.lease.clock import ends_of
from recipes.demo.lease.compiling import shapes_of, traces
from recipes.demo.lease.parts import LEASE, Part, Scale
from recipes.demo.lease.programs import Programs, programs_of
from vasa_jax.benchmark.work import work_by_kind
from vasa_jax.device import tracing_for
from vasa_jax.perception.loss_networks import Perception
from vasa_jax.perception.vgg import VGG, VGG16_BLOCKS
from vasa_jax.training.mesh import single_device

PEAK, BANDWIDTH = 790e12, 4.3e12
"""Measured on one H200: bf16 matrix products, FLOP/s; copies, bytes/s."""
OF_PEAK, OF_BANDWIDTH = 0.15, 0.5
"""Attained by convolutions of few channels and by unfused passes; assumed, not measured."""
COMPILE = {"pose": 25, "dyn": 25, "generator": 100}
"""Seconds of compiling a part for CUDA with autotuning; assumed, not measured."""
SETUP, GATE = 25.0, 12.0
"""Seconds before rendering begins, and of each part's two checks; assumed."""


def frozen_shapes() -> dict[str, Any]:
    """Shapes of VGG-16's parameters."""
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    network = VGG(blocks=VGG16_BLOCKS)
    return {"vgg": jax.eval_shape(network.init, jax.random.key(0), image)["params"]}


def programs_at(part: Part) -> Programs:
    """A part's programs with VGG-16 for its losses."""
    return programs_of(part, Perception(vgg=VGG(blocks=VGG16_BLOCKS)), single_device())


def count(scale: Scale, part: Part) -> dict[str, Any]:
    """FLOPs and bytes of a step, by kind, operations of all programs, and seconds of lowering."""
    programs, began = programs_at(part), time.monotonic()
    shapes = shapes_of(scale, programs, frozen_shapes())
    with tracing_for("cuda"):
        traced = traces(programs, shapes)
        kinds = work_by_kind(traced["run"].jaxpr)
        texts = {
            name: program.lower(lowering_platforms=("cuda",)).as_text()
            for name, program in traced.items()
        }
    return {
        "flops": sum(work.flops for work in kinds.values()) / part.steps,
        "least_bytes": sum(work.bytes for work in kinds.values()) / part.steps,
        "kinds": {
            kind: {"flops": work.flops / part.steps, "bytes": work.bytes / part.steps}
            for kind, work in kinds.items()
        },
        "operations": {
            name: len(re.findall(r"= \"?stablehlo\.", text)) for name, text in texts.items()
        },
        "lower_seconds": round(time.monotonic() - began, 1),
    }


def compiled(scale: Scale, part: Part, batch: int) -> dict[str, Any]:
    """Bytes and memory of a step of the part's batch, scaled from a smaller one compiled here."""
    small = part._replace(steps=1).with_batch(batch)
    programs = programs_at(small)
    shapes = shapes_of(scale._replace(groups=8), programs, frozen_shapes())
    began = time.monotonic()
    program = traces(programs, shapes)["run"].lower().compile()
    seconds, costs = time.monotonic() - began, program.cost_analysis() or {}
    grow = part.batch / batch
    return {
        "compiled_batch": batch,
        "compile_seconds_here": round(seconds, 1),
        "bytes": costs.get("bytes accessed", 0.0) * grow,
        "temporaries": program.memory_analysis().temp_size_in_bytes * grow,
    }


def predict(scale: Scale, found: dict[str, dict[str, Any]], minutes: float) -> list[dict[str, Any]]:
    """Rows: a part's seconds, steps and examples, by the assumptions above."""
    ready = SETUP + COMPILE["pose"]
    seconds = 60 * minutes - ready - GATE * len(scale.parts)
    rows: list[dict[str, Any]] = []
    spent, traced = 0.0, SETUP
    for part, end in zip(
        scale.parts, ends_of([p.share for p in scale.parts], seconds), strict=True
    ):
        costs = found[part.name]
        by_flops = costs["flops"] / (PEAK * OF_PEAK)
        # Norms, activations and losses pass over memory too: three times, unless XLA reported it.
        by_bytes = costs.get("bytes", 3 * costs["least_bytes"]) / (BANDWIDTH * OF_BANDWIDTH)
        step, own = max(by_flops, by_bytes), end - spent
        traced += costs["lower_seconds"]  # one after another
        rows.append(
            {
                "part": part.name,
                "seconds": own,
                "step_seconds": step,
                "bound": "bytes" if by_bytes > by_flops else "arithmetic",
                "steps": own / step,
                "examples": own / step * part.batch,
                "compiled_by": traced + COMPILE[part.kind],
                "begins": ready + spent + GATE * len(rows),
            }
        )
        spent = end
    return rows


def main(words: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compile", type=int, metavar="BATCH", help="compile here, too")
    parser.add_argument("--parts", nargs="+", default=[part.name for part in LEASE.parts])
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(words)
    scale = LEASE._replace(parts=tuple(p for p in LEASE.parts if p.name in arguments.parts))
    found: dict[str, dict[str, Any]] = {}
    for part in scale.parts:
        found[part.name] = count(scale, part)
        if arguments.compile:
            found[part.name] |= compiled(scale, part, arguments.compile)
        print(json.dumps({"part": part.name, **found[part.name]}), flush=True)
    report = {
        "question": "seconds of the lease's parts, counted and predicted",
        "jax": jax.__version__,
        "assumed": {
            "of_peak": OF_PEAK,
            "of_bandwidth": OF_BANDWIDTH,
            "compile": COMPILE,
            "setup": SETUP,
            "gate": GATE,
        },
        "counted": found,
        "predicted": predict(scale, found, arguments.minutes),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    from vasa_jax.signals import exit_with

    exit_with(main)
