"""G2D: driven volume -> image (MegaPortraits, Figure 9). The hot path of inference."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config import FaceConfig
from vasa_jax.face.compose import Layers
from vasa_jax.face.conv import Conv, Style
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.sampling import from_front
from vasa_jax.typing import Array, Float, Volume

__all__ = ["Decoder"]


class Decoder(nn.Module):
    """Depth and channels merge into a 1x1 projection; residual blocks; per width x2 and a block.

    embed: adapts the norms (`face.decoder_dyn`). hint: about the portrait (`face.compose_context`),
    added to the projection. Under `face.compose` the result is `Layers`.
    """

    config: FaceConfig
    style: Style = Style()

    @nn.compact
    def __call__(
        self,
        volume: Volume,
        embed: Float[Array, "b s s e"] | None = None,
        hint: Float[Array, "b h w k"] | None = None,
    ) -> Float[Array, "b h2 w2 3"] | Layers:
        c, style = self.config, self.style
        project = Conv(c.decoder_width, 1, standardise=False, style=style, name="project")
        x = project(from_front(volume))
        if hint is not None:
            told = Conv(
                c.decoder_width,
                1,
                standardise=False,
                style=style,
                kernel_init=nn.initializers.zeros,
                name="hint",
            )
            x = x + told(hint.astype(x.dtype))
        for i in range(c.decoder_blocks):
            x = ResBlock(c.decoder_width, style=style, name=f"block_{i + 1}")(x, embed)
        if c.compose:
            zeros = nn.initializers.zeros
            slices = volume.shape[1]
            depth = Conv(
                slices, 1, standardise=False, style=style, kernel_init=zeros, name="depth"
            )(x)
        for i, width in enumerate(c.decoder_widths):
            x = ResBlock(width, up2=True, style=style, name=f"up_{i + 1}")(x, embed)
        x = jax.nn.relu(GroupNorm(style, name="norm")(x))
        head = Conv(6 if c.compose else 3, standardise=False, style=style, name="head")(x)
        drawn = jax.nn.sigmoid(head[..., :3].astype(jnp.float32))
        if not c.compose:
            return drawn
        shares = head[..., 3:]
        shift = Conv(2, standardise=False, style=style, kernel_init=zeros, name="shift")(x)
        follow = Conv(1, standardise=False, style=style, kernel_init=zeros, name="follow")(x)
        if c.compose_plate:
            plate = Conv(1, standardise=False, style=style, kernel_init=zeros, name="plate")(x)
            shares = jnp.concatenate([shares, plate], -1)
        return Layers(drawn, shares, depth, shift, follow)
