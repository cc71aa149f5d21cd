"""Appearance volume encoder E_app (VASA-1 3.1; MegaPortraits, Figure 9)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config import FaceConfig
from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.resize import avg_pool2
from vasa_jax.face.resnet import normalise
from vasa_jax.typing import Array, Float, Image

__all__ = ["AppearanceEncoder"]


class AppearanceEncoder(nn.Module):
    """Portrait -> appearance volume in the pose of the portrait.

    7x7 stem; per width a 2-D residual block and 2x2 mean pooling; GN, ReLU, 1x1 convolution to
    channels x depth, reshaped into a volume; 3-D residual blocks.
    """

    config: FaceConfig
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, image: Image) -> Float[Array, "b d h2 w2 c"]:
        c, options = self.config, self.options
        x = normalise(image).astype(options.dtype)
        x = Conv(c.appearance_stem, 7, standardise=False, options=options, name="stem")(x)
        for i, width in enumerate(c.appearance_widths):
            x = ResBlock(width, options=options, name=f"block2d_{i + 1}")(x)
            x = avg_pool2(x, (1, 2))
        x = jax.nn.relu(GroupNorm(options, name="norm")(x))
        x = Conv(c.volume_channels * c.volume_depth, 1, options=options, name="to_volume")(x)
        b, h, w, _ = x.shape
        x = x.reshape(b, h, w, c.volume_depth, c.volume_channels)
        x = jnp.moveaxis(x, 3, 1)
        for i in range(c.appearance_blocks_3d):
            x = ResBlock(c.volume_channels, dims=3, options=options, name=f"block3d_{i + 1}")(x)
        return x
