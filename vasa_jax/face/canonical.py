"""G3D: the 3-D U-Net that cleans the canonical volume (MegaPortraits, Figure 9)."""

import flax.linen as nn
import jax

from vasa_jax.config import FaceConfig
from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.resize import avg_pool2, linear_up2
from vasa_jax.typing import Volume

__all__ = ["CanonicalNet"]


class CanonicalNet(nn.Module):
    """Resampled source volume -> canonical volume of the same shape; runs once per portrait.

    Depth doubles while height and width halve (16x64x64 -> 32x32x32), then all three halve
    (16x16x16), and back. Skips go through a residual block and are added.
    """

    config: FaceConfig
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, x: Volume) -> Volume:
        wide, wider, widest = self.config.canonical_widths
        channels = x.shape[-1]

        def block(features, name):
            return ResBlock(features, dims=3, options=self.options, name=name)

        x = block(wide, "down_1")(x)
        skip_1 = block(wide, "skip_1")(x)
        x = linear_up2(avg_pool2(x, (2, 3)), (1,))
        x = block(wider, "down_2")(x)
        skip_2 = block(wider, "skip_2")(x)
        x = avg_pool2(x, (1, 2, 3))
        x = block(widest, "middle_1")(x)
        x = block(widest, "middle_2")(x)
        x = block(wider, "up_1")(x)
        x = linear_up2(x, (1, 2, 3)) + skip_2
        x = block(wide, "up_2")(x)
        x = linear_up2(avg_pool2(x, (1,)), (2, 3)) + skip_1
        x = block(channels, "up_3")(x)
        x = jax.nn.relu(GroupNorm(self.options, name="norm")(x))
        return Conv(channels, dims=3, standardise=False, options=self.options, name="head")(x)
