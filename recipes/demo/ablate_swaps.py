"""What the exact swaps are good for: short trainings, with them and without, all else equal.

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
from pathlib import Path

from recipes.demo import train
from recipes.demo.config import LABELS, PIXELS, POSE, STAGES, Stage, config_of

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


UNSUPERVISED = (
    "consistency.weight=0.5",
    "consistency.start=0",
    "consistency.ramp=1",
    "consistency.perceptual=0",
    "cross_identity.weight=0.5",
    "cross_identity.start=0",
    "cross_identity.ramp=1",
)


def stages(steps: int, size: int) -> tuple[Stage, ...]:
    """The trainings. size: what the generator draws, px; the picture has twice as many."""
    # What the decoder draws has no targets of its own in any: without swaps there are none.
    targets = (
        *PIXELS,
        "exact.codes=false",
        "exact.drawn=0",
        "exact.choice=0",
        "exact.flow=0",
        "exact.shares=0",
    )
    # The encoders need pixels to read a face from; the generator need not draw as many.
    drawn = (f"face.extensions.network_size={size}",)
    without = (*POSE, *LABELS, *targets, "exact.weight=0", "exact.moved=0")
    return (
        Stage("swaps", 2 * size, steps, 4, 5e-4, POSE + LABELS + targets, drawn, own=0.0),
        Stage("no_swaps", 2 * size, steps, 4, 5e-4, without, drawn, own=1.0),
        Stage("paper", 2 * size, steps, 4, 5e-4, without + UNSUPERVISED, drawn, own=1.0),
    )


def figures(stage: Stage, work: Path, held: Path) -> dict[str, float]:
    """The gate of a finished stage, other people's pictures driving, and the leak."""
    config, params = config_of(stage), train.finished(work, stage)
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
    before = train.finished(arguments.work, STAGES["cpu"][1])
    if before is None:
        raise UserError(
            f"{arguments.work}: holds no finished stage 'reader'; train it by "
            "scripts/train_demo.sh --until reader"
        )
    table = {}
    for stage in stages(arguments.steps, arguments.size):
        if train.finished(arguments.work, stage) is None:
            print(f"{stage.name}: {stage.size} px, {stage.steps} steps", flush=True)
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
