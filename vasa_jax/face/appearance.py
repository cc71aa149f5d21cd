"""Appearance volume encoder E_app (VASA-1 3.1; MegaPortraits, Figure 9)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config import FaceConfig
from vasa_jax.face.conv import Conv, Style
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.resize import avg_pool2
from vasa_jax.face.resnet import normalise
from vasa_jax.face.sampling import from_front
from vasa_jax.typing import Array, Float, Image, Volume

__all__ = ["AppearanceEncoder", "Context"]


class AppearanceEncoder(nn.Module):
    """Portrait -> appearance volume in the pose of the portrait.

    7x7 stem; per width a 2-D residual block and 2x2 mean pooling; GN, ReLU, 1x1 convolution to
    channels x depth, reshaped into a volume; 3-D residual blocks.
    """

    config: FaceConfig
    style: Style = Style()

    @nn.compact
    def __call__(self, image: Image) -> Float[Array, "b d h2 w2 c"]:
        c, style = self.config, self.style
        x = normalise(image).astype(style.dtype)
        x = Conv(c.appearance_stem, 7, standardise=False, style=style, name="stem")(x)
        for i, width in enumerate(c.appearance_widths):
            x = ResBlock(width, style=style, name=f"block2d_{i + 1}")(x)
            x = avg_pool2(x, (1, 2))
        x = jax.nn.relu(GroupNorm(style, name="norm")(x))
        x = Conv(c.volume_channels * c.volume_depth, 1, style=style, name="to_volume")(x)
        b, h, w, _ = x.shape
        x = x.reshape(b, h, w, c.volume_depth, c.volume_channels)
        x = jnp.moveaxis(x, 3, 1)
        for i in range(c.appearance_blocks_3d):
            x = ResBlock(c.volume_channels, dims=3, style=style, name=f"block3d_{i + 1}")(x)
        return x


class Context(nn.Module):
    """The posed volume as one sees it, from the front: what lies where in the portrait.

    Not from the paper, whose decoder sees nothing but the driven volume: that does not tell it what
    is beside and behind a head, which stays where it is while the head turns.
    """

    channels: int
    style: Style = Style()

    @nn.compact
    def __call__(self, volume: Volume) -> Float[Array, "b h2 w2 k"]:
        conv = Conv(self.channels, standardise=False, style=self.style, name="conv")
        return jax.nn.relu(conv(from_front(volume)))
