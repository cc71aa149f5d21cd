"""Whether pictures are large enough for a config, and what to do where they are not."""

from pathlib import Path

from vasa_jax.config import Config
from vasa_jax.config_text import apply_overrides
from vasa_jax.data_pipeline.prepare.options import SIZES
from vasa_jax.errors import UserError


def check_size(place: Path, stored: int, config: Config, maker: str) -> None:
    """Raises UserError where pictures of `stored` px are smaller than the config's; larger ones are
    shrunk. place: where they lie. maker: "prepare" or "synth", which can make them anew."""
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
