"""Identity encoder: z_id as a small map (MegaPortraits' e_s, a ResNet-50)."""

import flax.linen as nn

from vasa_jax.config import FaceConfig
from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.resize import adaptive_avg_pool
from vasa_jax.face.resnet import ResNet, resize_image
from vasa_jax.typing import Array, Float, Image

__all__ = ["IdentityEncoder"]


class IdentityEncoder(nn.Module):
    """Portrait -> z_id (b, embed_size, embed_size, embed_channels)."""

    config: FaceConfig
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, image: Image) -> Float[Array, "b s s c"]:
        c = self.config
        image = resize_image(image, c.identity_image_size)
        x = ResNet(c.identity_width, c.identity_depths, True, self.options, name="trunk")(image)
        x = adaptive_avg_pool(x, c.embed_size)
        return Conv(c.embed_channels, 1, standardise=False, options=self.options, name="head")(x)
