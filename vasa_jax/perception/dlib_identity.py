"""dlib's face recognition network, a 29-layer ResNet, differentiable in JAX (King 2017).

It maps a 150 px aligned chip to a 128-vector; two faces are the same person where the Euclidean
distance of their vectors is below 0.6. The vectors are not centred: two strangers still have a
cosine near 0.85, so a cosine loss on them has a small range.
"""

from collections.abc import Mapping
from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Array, Float
from vasa_jax.zoo.readers import load_tfjs

CHIP_SIZE = 150
EMBEDDING = 128
PIXEL_MEAN = (122.782, 117.001, 104.298)
# (name, residual blocks) of each stage; all but the first begin with a halving block, and the
# last is a halving block alone.
STAGES = (("conv32", 3), ("conv64", 3), ("conv128", 2), ("conv256", 2))


class ScaledConv(nn.Module):
    """Convolution, then dlib's per-channel affine layer (batch norm with its statistics folded)."""

    features: int
    kernel: int = 3
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        x = nn.Conv(self.features, (self.kernel, self.kernel), self.stride, self.padding)(x)
        scale = self.param("scale", nn.initializers.ones, (self.features,))
        return x * scale + self.param("shift", nn.initializers.zeros, (self.features,))


class Block(nn.Module):
    """Residual block; `down` halves the size and widens by zero-padding."""

    features: int
    down: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        stride, padding = (2, "VALID") if self.down else (1, "SAME")
        y = nn.relu(ScaledConv(self.features, 3, stride, padding, name="conv1")(x))
        y = ScaledConv(self.features, name="conv2")(y)
        if self.down:
            x = nn.avg_pool(x, (2, 2), (2, 2))
            height, width = max(x.shape[1], y.shape[1]), max(x.shape[2], y.shape[2])
            x = _pad_to(x, (height, width, self.features))
            y = _pad_to(y, (height, width, self.features))
        return nn.relu(x + y)


def _pad_to(x: Float[Array, "b h w c"], shape: tuple[int, int, int]) -> Float[Array, "b _ _ _"]:
    return jnp.pad(x, [(0, 0), *((0, n - m) for n, m in zip(shape, x.shape[1:], strict=True))])


class DlibIdentity(nn.Module):
    """The network; `features` lists the stages' outputs as well, for feature distances."""

    @nn.compact
    def __call__(
        self, chips: Float[Array, "b 150 150 3"]
    ) -> tuple[Float[Array, "b 128"], tuple[Float[Array, "b _ _ _"], ...]]:
        """RGB chips in [0, 1] to the 128-vector and the feature maps of the four stages."""
        x = (chips * 255.0 - jnp.asarray(PIXEL_MEAN)) / 256.0
        x = nn.relu(ScaledConv(32, 7, 2, "VALID", name="conv32_down")(x))
        x = nn.max_pool(x, (3, 3), (2, 2))
        features = []
        for stage, (name, blocks) in enumerate(STAGES):
            width = 32 * 2**stage
            if stage:
                x = Block(width, down=True, name=f"{name}_down")(x)
            for i in range(1, blocks + 1):
                x = Block(width, name=f"{name}_{i}")(x)
            features.append(x)
        x = Block(256, down=True, name="conv256_down_out")(x)
        vector = nn.Dense(EMBEDDING, use_bias=False, name="fc")(jnp.mean(x, (1, 2)))
        return vector, tuple(features)


def load(path: Path) -> dict:
    """Parameters from face-api's face_recognition_model.bin, its JSON manifest beside it.

    Weights have 8 bits, which moves the 128-vector by about 0.04 from dlib's float weights.
    Raises UserError when the two files do not belong together or hold another network.
    """
    tensors = load_tfjs(path)
    try:
        return _named(tensors)
    except KeyError as error:
        raise UserError(
            f"{path}: not face-api's face_recognition_model: no {error} in it"
        ) from None


def _named(tensors: Mapping[str, np.ndarray]) -> dict:
    """face-api's tensor names to ours: `X/conv/filters` becomes `X/Conv_0/kernel`, and so on."""
    leaves = {
        "conv/filters": ("Conv_0", "kernel"),
        "conv/bias": ("Conv_0", "bias"),
        "scale/weights": ("scale",),
        "scale/biases": ("shift",),
    }
    params: dict = {"fc": {"kernel": tensors["fc"]}}
    for name, array in tensors.items():
        if name == "fc":
            continue
        *parents, group, leaf = name.split("/")
        node = params
        for part in (*parents, *leaves[f"{group}/{leaf}"][:-1]):
            node = node.setdefault(part, {})
        node[leaves[f"{group}/{leaf}"][-1]] = array
    return params
