"""`vasa-jax config list|show`: named configs, their keys and parameters."""

import argparse
import json

HELP = "show a named config, with overrides applied"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the names")
    show = actions.add_parser("show", help="every key and value as JSON")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides")
    show.add_argument("--params", action="store_true", help="parameters per part instead")


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax.config import NAMES, get_config
    from vasa_jax.config.overrides import to_dict

    if arguments.action == "list":
        print("\n".join(NAMES))
        return 0
    config = get_config(arguments.name, arguments.overrides)
    if arguments.params:
        _print_parameters(config)
    else:
        print(json.dumps(to_dict(config), indent=2))
    return 0


def _print_parameters(config) -> None:
    import math

    import jax

    from vasa_jax.bundle import abstract_params

    total = 0
    print(f"{'network':8} {'part':28} {'parameters':>12}")
    for network, tree in abstract_params(config).items():
        inside = 0
        for part, leaves in tree.items():
            count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(leaves))
            inside += count
            print(f"{network:8} {part:28} {count:12,d}")
        print(f"{network:8} {'all':28} {inside:12,d}")
        total += inside
    print(f"{'total':37} {total:12,d}")
