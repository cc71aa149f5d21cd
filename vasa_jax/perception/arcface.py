"""ArcFace's IResNet-50 and -100 (Deng et al. 2019; layers as in InsightFace's arcface_torch).

Each batch norm is folded into a scale and a shift when the weights are read: the network is
frozen, and half of the arrays go.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vasa_jax.errors import UserError
from vasa_jax.typing import Array, Float

CHIP_SIZE = 112
DEPTHS = {"r50": (3, 4, 14, 3), "r100": (3, 13, 30, 3)}
WIDTHS = (64, 128, 256, 512)
EPSILON = 1e-5


class Affine(nn.Module):
    """A folded batch norm."""

    @nn.compact
    def __call__(self, x: Float[Array, "b *s c"]) -> Float[Array, "b *s c"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        return x * scale + self.param("shift", nn.initializers.zeros, (x.shape[-1],))


class PReLU(nn.Module):
    """A leaky ReLU with one learned slope per channel."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return jnp.where(x >= 0, x, x * slope)


class IBasicBlock(nn.Module):
    """BN, conv 3x3, BN, PReLU, conv 3x3 (stride), BN, plus the input or its 1x1 projection."""

    features: int
    stride: int = 1
    project: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        y = Affine(name="bn1")(x)
        y = nn.Conv(self.features, (3, 3), padding=1, use_bias=False, name="conv1")(y)
        y = PReLU(name="prelu")(Affine(name="bn2")(y))
        y = nn.Conv(self.features, (3, 3), self.stride, 1, use_bias=False, name="conv2")(y)
        y = Affine(name="bn3")(y)
        if self.project:
            x = nn.Conv(self.features, (1, 1), self.stride, 0, use_bias=False, name="down_conv")(x)
            x = Affine(name="down_bn")(x)
        return x + y


class IResNet(nn.Module):
    """The backbone; depths, for example DEPTHS["r50"], counts the blocks of the four stages."""

    depths: tuple[int, ...] = DEPTHS["r50"]
    widths: tuple[int, ...] = WIDTHS

    @nn.compact
    def __call__(
        self, chips: Float[Array, "b 112 112 3"]
    ) -> tuple[Float[Array, "b 512"], tuple[Float[Array, "b _ _ _"], ...]]:
        """RGB chips in [0, 1] to the 512-vector and the feature maps of the four stages."""
        x = nn.Conv(self.widths[0], (3, 3), padding=1, use_bias=False, name="conv1")(
            (chips - 0.5) / 0.5
        )
        x = PReLU(name="prelu")(Affine(name="bn1")(x))
        features = []
        for stage, (blocks, width) in enumerate(zip(self.depths, self.widths, strict=True), 1):
            for i in range(blocks):
                x = IBasicBlock(width, 1 if i else 2, i == 0, name=f"layer{stage}_{i}")(x)
            features.append(x)
        x = Affine(name="bn2")(x)
        # Channels first before flattening: the order the Linear layer was trained with.
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        return Affine(name="features")(nn.Dense(512, name="fc")(x)), tuple(features)


def params_from_torch(state: Mapping[str, np.ndarray], depths: tuple[int, ...]) -> dict:
    """IResNet parameters from the numpy state dict of arcface_torch's `backbone.pth`.

    Raises UserError when an array is missing or blocks are left over (another depth).
    """
    reader = _Reader(state)
    params = {
        "conv1": reader.conv("conv1"),
        "bn1": reader.norm("bn1"),
        "prelu": reader.prelu("prelu"),
        "bn2": reader.norm("bn2"),
        "fc": {"kernel": reader.get("fc.weight").T, "bias": reader.get("fc.bias")},
        "features": reader.norm("features"),
    }
    for stage, blocks in enumerate(depths, 1):
        for i in range(blocks):
            key = f"layer{stage}.{i}"
            block = {f"bn{n}": reader.norm(f"{key}.bn{n}") for n in (1, 2, 3)}
            block |= {f"conv{n}": reader.conv(f"{key}.conv{n}") for n in (1, 2)}
            block["prelu"] = reader.prelu(f"{key}.prelu")
            if i == 0:
                block["down_conv"] = reader.conv(f"{key}.downsample.0")
                block["down_bn"] = reader.norm(f"{key}.downsample.1")
            params[f"layer{stage}_{i}"] = block
    left = sorted(k for k in state if k not in reader.seen and "num_batches_tracked" not in k)
    if left:
        raise UserError(f"not the weights of IResNet {depths}: {left[0]!r} has no place in it")
    return params


def depth_of(state: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """Blocks per stage that a state dict holds, read from its names."""
    blocks = {tuple(map(int, k[5:].split(".")[:2])) for k in state if k.startswith("layer")}
    return tuple(sum(1 for s, _ in blocks if s == stage) for stage in (1, 2, 3, 4))


class _Reader:
    """Reads arrays by name and remembers which were read."""

    def __init__(self, state: Mapping[str, np.ndarray]):
        self.state = state
        self.seen: set[str] = set()

    def get(self, key: str) -> np.ndarray:
        if key not in self.state:
            raise UserError(f"not the weights of this IResNet: {key!r} is missing")
        self.seen.add(key)
        return np.asarray(self.state[key], np.float32)

    def conv(self, key: str) -> dict:
        return {"kernel": self.get(f"{key}.weight").transpose(2, 3, 1, 0)}

    def prelu(self, key: str) -> dict:
        return {"slope": self.get(f"{key}.weight")}

    def norm(self, key: str) -> dict:
        variance = self.get(f"{key}.running_var").astype(np.float64) + EPSILON
        scale = self.get(f"{key}.weight") / np.sqrt(variance)
        shift = self.get(f"{key}.bias") - self.get(f"{key}.running_mean") * scale
        return {"scale": scale.astype(np.float32), "shift": shift.astype(np.float32)}
