"""ResNet trunks with group norm and weight standardisation in place of batch norm."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.layers import GroupNorm
from vasa_jax.typing import Array, Float, Image

__all__ = ["ResNet", "normalise", "resize_image"]


def normalise(image: Image) -> Image:
    """[0, 1] to [-1, 1]."""
    return image * 2.0 - 1.0


def resize_image(image: Image, size: int) -> Float[Array, "b size size 3"]:
    """A square image at another size, linear and free of aliasing; untouched at the same size."""
    if image.shape[1:3] == (size, size):
        return image
    return jax.image.resize(image, (image.shape[0], size, size, 3), "linear", antialias=True)


class _Residual(nn.Module):
    """He et al.'s (1512.03385) basic or bottleneck block: [conv, GN, ReLU]..., + skip, ReLU."""

    width: int
    stride: int
    bottleneck: bool
    options: LayerOptions

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 o"]:
        # (channels, kernel size, stride) of each convolution; the stride sits on a 3x3 one.
        w, s = self.width, self.stride
        plan = [(w, 1, 1), (w, 3, s), (4 * w, 1, 1)] if self.bottleneck else [(w, 3, s), (w, 3, 1)]

        def conv_norm(y, features, size, stride, name):
            conv = Conv(
                features, size, stride=stride, use_bias=False, options=self.options, name=name
            )
            return GroupNorm(self.options, name=f"{name}_norm")(conv(y))

        y = x
        for i, (features, size, stride) in enumerate(plan):
            y = conv_norm(y, features, size, stride, f"conv{i + 1}")
            if i + 1 < len(plan):
                y = jax.nn.relu(y)
        if x.shape[-1] != y.shape[-1] or s != 1:
            x = conv_norm(x, y.shape[-1], 1, s, "skip")
        return jax.nn.relu(x + y)


class ResNet(nn.Module):
    """7x7/2 stem, 3x3/2 max pool, then stages of doubling width; each but the first halves.

    depths (3, 4, 6, 3) with bottleneck blocks is ResNet-50, (2, 2, 2, 2) without is ResNet-18.
    """

    width: int
    depths: tuple[int, ...]
    bottleneck: bool = False
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, image: Image) -> Float[Array, "b h2 w2 c"]:
        x = normalise(image).astype(self.options.dtype)
        x = Conv(
            self.width,
            7,
            stride=2,
            standardise=False,
            use_bias=False,
            options=self.options,
            name="stem",
        )(x)
        x = jax.nn.relu(GroupNorm(self.options, name="stem_norm")(x))
        x = nn.max_pool(x, (3, 3), (2, 2), [(1, 1), (1, 1)])
        for stage, depth in enumerate(self.depths):
            for block in range(depth):
                x = _Residual(
                    self.width * 2**stage,
                    2 if stage and not block else 1,
                    self.bottleneck,
                    self.options,
                    name=f"stage{stage + 1}_{block + 1}",
                )(x)
        return x


def global_mean(x: Float[Array, "b h w c"]) -> Float[Array, "b c"]:
    """Mean over space in float32."""
    return jnp.mean(x.astype(jnp.float32), (1, 2))
