"""The commands of `vasa-jax`, a module each: HELP, add_arguments(parser), run(arguments)."""

from vasa_jax.commands import batch, config, generate, reenact, weights

COMMANDS = {
    "generate": generate,
    "batch": batch,
    "reenact": reenact,
    "config": config,
    "weights": weights,
}
