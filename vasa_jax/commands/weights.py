"""`vasa-jax weights list|get|convert`: the frozen networks and where they come from."""

import argparse
from pathlib import Path

HELP = "list, fetch or convert the weights of frozen networks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="names, licences, sources, and what is in the cache")
    get = actions.add_parser("get", help="fetch into the cache")
    get.add_argument("names", metavar="NAME", nargs="+", help="names from `list`, or `all`")
    convert = actions.add_parser("convert", help="turn a weights file into our safetensors")
    convert.add_argument(
        "name",
        metavar="NAME",
        help="a cached weight's name, or with FILE the "
        "network it holds: vgg16, vgg19, vggface, arcface-r50, "
        "arcface-r100, syncnet",
    )
    convert.add_argument(
        "source",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="your own file: safetensors, or a torch state dict",
    )
    convert.add_argument("-o", "--output", metavar="FILE", required=True, type=Path)


def run(arguments: argparse.Namespace) -> int:
    from vasa_jax import zoo

    if arguments.action == "list":
        for weight in zoo.weights():
            state = "cached" if zoo.is_cached(weight.name) else "-"
            print(f"{weight.name:24} {state:7} {weight.size / 1e6:7.1f} MB  {weight.licence}")
            print(f"{'':24} {weight.purpose}; {weight.registry}: {weight.package} {weight.version}")
        for own in zoo.manual_weights():
            state = "cached" if zoo.is_cached(own.name) else "-"
            print(f"{own.name:24} {state:7} {'your own':>10}  {own.licence}")
            print(f"{'':24} {own.purpose}; {own.home}")
        return 0
    if arguments.action == "get":
        names = arguments.names
        if names == ["all"]:
            names = [weight.name for weight in zoo.weights()]
        return _get(names)
    from vasa_jax.media.places import check_kept

    given = arguments.source
    if given is None and zoo.is_cached(arguments.name):
        given = zoo.cached_path(arguments.name)
    check_kept(arguments.output, {"weights": given})
    if arguments.source is None:
        zoo.convert(arguments.name, arguments.output)
    else:
        from vasa_jax.perception.convert import convert

        convert(arguments.name, arguments.source, arguments.output)
    print(f"wrote {arguments.output}")
    return 0


def _get(names: list[str]) -> int:
    """Fetch what is not cached; of several, one that cannot be had does not hold up the others."""
    import sys

    from vasa_jax import zoo
    from vasa_jax.errors import UserError

    failed = []
    for name in names:
        try:
            print(f"{name}: {zoo.fetch(name) if not zoo.is_cached(name) else 'already there'}")
        except UserError as error:
            if len(names) == 1:
                raise
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(name)
    if failed:
        raise UserError(f"{len(failed)} of {len(names)} cannot be had: {', '.join(failed)}")
    return 0
