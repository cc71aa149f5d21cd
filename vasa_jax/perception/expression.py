"""face-api's facial expression network: seven classes from a face crop, 0.32 million parameters.

A densely connected net of separable convolutions (its author's own design and weights). It stands
in for HSEmotion, whose weights no package carries.
"""

from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp

from vasa_jax.errors import UserError
from vasa_jax.typing import Array, Float
from vasa_jax.zoo.readers import load_tfjs

CHIP_SIZE = 112
CLASSES = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
"""Its classes in its order, by the names of `vasa_jax.typing.EMOTIONS`."""
PIXEL_MEAN = (122.782, 117.001, 104.298)
WIDTHS = (32, 64, 128, 256)


class DepthwiseConv(nn.Module):
    """3x3 per channel, same size over `stride`, as nine shifted products.

    XLA's grouped convolution takes ten times as long on a CPU.
    """

    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ c"]:
        shape = (3, 3, 1, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        step, rows, columns = self.stride, *(-(-n // self.stride) for n in x.shape[1:3])
        # As "SAME" pads: the odd one goes to the far side.
        pads = [(m - 1) * step + 3 - n for m, n in zip((rows, columns), x.shape[1:3], strict=True)]
        padded = jnp.pad(x, [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)])
        terms = (
            padded[:, i : i + rows * step : step, j : j + columns * step : step][:, :rows, :columns]
            * kernel[i, j]
            for i in range(3)
            for j in range(3)
        )
        return sum(terms, jnp.zeros((), x.dtype))


class SeparableConv(nn.Module):
    """Depthwise 3x3, then pointwise 1x1 with bias."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        x = DepthwiseConv(self.stride, name="depthwise")(x)
        return nn.Conv(self.features, (1, 1), name="pointwise")(x)


class DenseBlock(nn.Module):
    """Halves the size, then adds up the outputs of three more convolutions."""

    features: int
    first: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        if self.first:
            total = nn.Conv(self.features, (3, 3), 2, name="conv0")(x)
        else:
            total = SeparableConv(self.features, 2, name="conv0")(x)
        # The running sum starts with the first output after its ReLU; later ones join before it.
        total = out = nn.relu(total)
        for i in (1, 2, 3):
            total = total + SeparableConv(self.features, name=f"conv{i}")(out)
            out = nn.relu(total)
        return out


class ExpressionNet(nn.Module):
    """Logits of the seven `CLASSES`."""

    @nn.compact
    def __call__(self, chips: Float[Array, "b 112 112 3"]) -> Float[Array, "b 7"]:
        """RGB chips in [0, 1], black where the face's box was not square."""
        x = (chips * 255.0 - jnp.asarray(PIXEL_MEAN)) / 255.0
        for i, width in enumerate(WIDTHS):
            x = DenseBlock(width, first=i == 0, name=f"dense{i}")(x)
        return nn.Dense(len(CLASSES), name="fc")(jnp.mean(x, (1, 2)))


def load(path: Path) -> dict:
    """Parameters from face-api's face_expression_model.bin, its JSON manifest beside it.

    Raises UserError when the two files do not belong together or hold another network.
    """
    params: dict = {}
    for name, array in load_tfjs(path).items():
        *parents, leaf = name.split("/")
        if leaf == "depthwise_filter":
            array, parents, leaf = array.swapaxes(2, 3), [*parents, "depthwise"], "kernel"
        elif leaf == "pointwise_filter":
            parents, leaf = [*parents, "pointwise"], "kernel"
        elif leaf == "bias" and parents[0] != "fc" and parents != ["dense0", "conv0"]:
            parents = [*parents, "pointwise"]
        node = params
        for part in parents:
            node = node.setdefault(part, {})
        node["kernel" if leaf in ("filters", "weights") else leaf] = array
    if set(params) != {"dense0", "dense1", "dense2", "dense3", "fc"}:
        raise UserError(f"{path}: not face-api's face_expression_model: {sorted(params)} in it")
    return params
