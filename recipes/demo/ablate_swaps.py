"""Ablation of rendered transfers: short trainings with them and without, all else equal.

All begin with the same trained encoders and a fresh generator, train everything together, and know
head pose, ARKit coefficients and gaze of every picture. `swaps`: a driver is the other person, and
the exact renders of the full, the pose-only and the expression-only transfer are targets.
`no_swaps`: a driver is another picture of the source's own person, and that picture is the target.
`paper`: the same with VASA-1's consistency and cross-identity losses, which need no targets.

    python -m recipes.demo.ablate_swaps --data DATA --work WORK [--steps 500] [--size 64]

DATA is a corpus of train_demo.sh, WORK a folder of its where the stage `reader` has ended. Writes
WORK/ablation.json and prints it as a table: the gate's figures on held-out people, where another
person's picture drives, and what is gained if the own person's does: the leak.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from recipes.demo import train
from recipes.demo.config import (
    DEMO,
    GENERATOR_LOSSES,
    Stage,
    face_stage,
    with_labels,
)
from recipes.demo.config import stages as demo_stages
from vasa_jax.config.losses import ConsistencyLoss, CrossIdentityLoss

SHOWN = {
    "swap_psnr": "full transfer, dB",
    "pose_only_psnr": "pose alone, dB",
    "dyn_only_psnr": "expression alone, dB",
    "swap_copy_psnr": "copy for a full transfer, dB",
    "dyn_only_copy_psnr": "copy for an expression, dB",
    "leak_db": "leak, dB",
    "sensitivity": "sensitivity",
    "expression_missed": "expression missed",
    "pose_deg": "head pose, deg",
    "arkit_r2": "ARKit R2",
}


def stages(steps: int, size: int) -> tuple[Stage, ...]:
    """The trainings. size: of the generator's images, px; the motion encoders see twice that."""
    # What the decoder draws has no targets of its own in any: without swaps there are none.
    transfer = replace(
        GENERATOR_LOSSES.transfer, decoded=0.0, layer_assignment=0.0, flow=0.0, blend_masks=0.0
    )
    swaps = with_labels(replace(GENERATOR_LOSSES, transfer=transfer))
    no_swaps = replace(swaps, transfer=replace(transfer, weight=0.0, motion_weighted=0.0))
    paper = replace(
        no_swaps,
        consistency=ConsistencyLoss(weight=0.5, perceptual=0.0, start=0, ramp=1),
        cross_identity=CrossIdentityLoss(weight=0.5, start=0, ramp=1),
    )
    extensions = replace(DEMO.face.extensions, network_size=size)
    base = replace(DEMO, face=replace(DEMO.face, extensions=extensions))
    named = {"swaps": (swaps, 0.0), "no_swaps": (no_swaps, 1.0), "paper": (paper, 1.0)}
    return tuple(
        face_stage(name, "all", losses, 2 * size, steps, 4, 5e-4, base)._replace(own=own)
        for name, (losses, own) in named.items()
    )


def figures(stage: Stage, work: Path, held: Path) -> dict[str, float]:
    """The gate of a finished stage, other people's pictures driving, and the leak."""
    config, params = stage.config, train.finished(work, stage)
    others, own = (train.gate(config, params, held, stage, own=own) for own in (0.0, 1.0))
    return others | {"leak_db": own["swap_psnr"] - others["swap_psnr"]}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="train with and without exact swaps")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args(words)
    from vasa_jax.compile_cache import enable_compile_cache
    from vasa_jax.errors import UserError
    from vasa_jax.media.files import write_whole

    enable_compile_cache()
    before = train.finished(arguments.work, demo_stages("cpu")[1])
    if before is None:
        raise UserError(
            f"{arguments.work}: holds no finished stage 'reader'; train it by "
            "scripts/train_demo.sh --until reader"
        )
    table = {}
    for stage in stages(arguments.steps, arguments.size):
        if train.finished(arguments.work, stage) is None:
            print(f"{stage.name}: {2 * arguments.size} px, {stage.train.steps} steps", flush=True)
            done = train.train_stage(stage, arguments.work, arguments.data, before)
            if not done:
                print("stopped in time; the same command goes on")
                return 0
        table[stage.name] = figures(stage, arguments.work, arguments.data / "held")
    write_whole(arguments.work / "ablation.json", "ablation", json.dumps(table, indent=1) + "\n")
    print("| held-out people |", *(f"{name} |" for name in table))
    print("|---|", "---|" * len(table), sep="")
    for key, text in SHOWN.items():
        print(f"| {text} |", *(f"{found[key]:.3g} |" for found in table.values()))
    return 0


if __name__ == "__main__":
    from vasa_jax.signals import exit_with

    exit_with(main)
