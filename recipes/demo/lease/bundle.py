"""The face model of a run and the shipped stage 2 as one bundle for `generate` and `evaluate`.

    python -m recipes.demo.lease.bundle OUT -o BUNDLE [--latest] [--checkpoint WITH_STAGE_2]

z_dyn is the ARKit code before and after, so stage 2 fits. --latest takes the averages of a part
that was interrupted before its check on held-out people.
"""

import argparse
from pathlib import Path


def main(words: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder that the run left")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--checkpoint", type=Path, help="bundle with stage 2 (default: shipped)")
    parser.add_argument("--latest", action="store_true")
    arguments = parser.parse_args(words)
    import jax.numpy as jnp

    from recipes.demo.lease.output import load
    from vasa_jax.bundle import resolve_bundle, save_bundle
    from vasa_jax.params import check_against, flatten

    face = load(arguments.run, "latest" if arguments.latest else "face")
    bundle = resolve_bundle(arguments.config, arguments.checkpoint)
    check_against(
        flatten(face), flatten(bundle.params["face"]), f"the parameters in {arguments.run}"
    )
    params = {**bundle.params, "face": face}
    save_bundle(arguments.output, bundle._replace(params=params), jnp.dtype("int8"))
    print(f"{arguments.output}: use it with --checkpoint {arguments.output}")
    return 0


if __name__ == "__main__":
    from vasa_jax.signals import exit_with

    exit_with(main)
