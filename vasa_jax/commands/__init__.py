"""The commands of `vasa-jax`, a module each: HELP, add_arguments(parser), run(arguments)."""

from vasa_jax.commands import batch, config, generate, reenact, train, weights

COMMANDS = {
    "generate": generate,
    "batch": batch,
    "reenact": reenact,
    "train": train,
    "config": config,
    "weights": weights,
}
