"""The commands of `vasa-jax`, a module each: HELP, add_arguments(parser), run(arguments)."""

from vasa_jax.commands import (
    batch,
    benchmark,
    config,
    evaluate,
    export,
    extract_motion,
    generate,
    prepare,
    protocol,
    reenact,
    score,
    synth,
    train,
    weights,
)

COMMANDS = {
    "generate": generate,
    "batch": batch,
    "reenact": reenact,
    "extract-motion": extract_motion,
    "prepare": prepare,
    "synth": synth,
    "train": train,
    "benchmark": benchmark,
    "evaluate": evaluate,
    "protocol": protocol,
    "score": score,
    "export": export,
    "config": config,
    "weights": weights,
}
