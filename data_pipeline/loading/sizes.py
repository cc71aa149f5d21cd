"""Checks that a dataset's images are large enough for a config."""

from pathlib import Path

from vasa_jax.config import Config
from vasa_jax.config.overrides import apply_overrides
from vasa_jax.data_pipeline.prepare.options import SIZES
from vasa_jax.errors import UserError


def check_size(place: Path, stored: int, config: Config, maker: str) -> None:
    """Raises UserError where images of `stored` px are smaller than the config's (larger ones are
    shrunk). place: the dataset's folder. maker: the command that made it, "prepare" or "synth"."""
    wanted = config.face.image_size
    if stored >= wanted:
        return
    ways = []
    sizes = [size for size in SIZES if size >= wanted] if maker == "prepare" else [wanted]
    if sizes:
        ways.append(f"make it anew by `vasa-jax {maker} --size {sizes[0]}`")
    override = f"face.image_size={stored}"
    try:
        apply_overrides(config, [override])
        ways.append(f"train smaller pictures by --set {override}")
    except UserError:
        ways.append("choose a smaller --config")
    raise UserError(
        f"{place}: holds pictures of {stored} px, config {config.name!r} wants {wanted} px or "
        f"more; {', or '.join(ways)}"
    )
