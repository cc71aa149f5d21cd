"""G2D: driven volume -> image (MegaPortraits, Figure 9). The hot path of inference."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config import FaceConfig
from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.sampling import from_front
from vasa_jax.typing import Array, Float, Volume

__all__ = ["Decoder"]


class Decoder(nn.Module):
    """Depth and channels merge into a 1x1 projection; residual blocks; per width x2 and a block."""

    config: FaceConfig
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, volume: Volume) -> Float[Array, "b h2 w2 3"]:
        c, options = self.config, self.options
        project = Conv(c.decoder_width, 1, standardise=False, options=options, name="project")
        x = project(from_front(volume))
        for i in range(c.decoder_blocks):
            x = ResBlock(c.decoder_width, options=options, name=f"block_{i + 1}")(x)
        for i, width in enumerate(c.decoder_widths):
            x = ResBlock(width, up2=True, options=options, name=f"up_{i + 1}")(x)
        x = jax.nn.relu(GroupNorm(options, name="norm")(x))
        x = Conv(3, standardise=False, options=options, name="head")(x)
        return jax.nn.sigmoid(x.astype(jnp.float32))
