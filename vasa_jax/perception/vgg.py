"""VGG-16 and VGG-19 feature maps for perceptual losses (Simonyan and Zisserman 2014).

The networks are frozen: only their feature maps matter, so the classifier is left out. Weights
come from torchvision's ImageNet models, from the copy of VGG-16 inside LPIPS, or from VGGFace
(Parkhi et al. 2015), whose input is scaled otherwise.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vasa_jax.errors import UserError
from vasa_jax.typing import Array, Float, Image

VGG16_BLOCKS = (2, 2, 3, 3, 3)
VGG19_BLOCKS = (2, 2, 4, 4, 4)
BLOCK_WIDTHS = (64, 128, 256, 512, 512)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# VGGFace subtracts a mean colour from 0..255 values and does not divide.
VGGFACE_MEAN = (129.186 / 255, 104.762 / 255, 93.594 / 255)
VGGFACE_STD = (1 / 255, 1 / 255, 1 / 255)
FIRST_RELUS = tuple(f"relu{i}_1" for i in range(1, 6))
"""relu1_1 … relu5_1: the taps of the perceptual loss in MegaPortraits and FOMM."""


def conv_names(blocks: tuple[int, ...]) -> list[str]:
    """`conv1_1`, `conv1_2`, …: the convolutions in the order of the network."""
    return [f"conv{i}_{j}" for i, n in enumerate(blocks, 1) for j in range(1, n + 1)]


class VGG(nn.Module):
    """Feature maps after chosen ReLUs, in float32."""

    blocks: tuple[int, ...] = VGG19_BLOCKS  # convolutions per block (VGG16_BLOCKS, VGG19_BLOCKS)
    taps: tuple[str, ...] = FIRST_RELUS  # `reluI_J` names, shallow to deep
    # mean, std: of the images in [0, 1] the weights were trained on.
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    widths: tuple[int, ...] = BLOCK_WIDTHS  # channels per block, smaller only in tests
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Image) -> tuple[Float[Array, "b _ _ _"], ...]:
        """Images (b, h, w, 3) in [0, 1] to one (b, h', w', c) map per tap; h and w at least 16."""
        x = ((images - jnp.asarray(self.mean)) / jnp.asarray(self.std)).astype(self.dtype)
        found = {}
        for i, count in enumerate(self.blocks, 1):
            for j in range(1, count + 1):
                name = f"{i}_{j}"
                x = nn.Conv(
                    self.widths[i - 1], (3, 3), padding=1, dtype=self.dtype, name=f"conv{name}"
                )(x)
                x = nn.relu(x)
                found[f"relu{name}"] = x
                # Layers below the deepest tap cost time and, on small images, would be empty.
                if set(self.taps) <= set(found):
                    return tuple(found[t].astype(jnp.float32) for t in self.taps)
            if i < len(self.blocks):
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
        missing = sorted(set(self.taps) - set(found))
        raise UserError(f"VGG has no layer {missing[0]!r}; taps are named relu1_1 … relu5_1")


def params_from_torchvision(state: Mapping[str, np.ndarray], blocks: tuple[int, ...]) -> dict:
    """VGG parameters from a torch state dict of numpy arrays.

    Accepts torchvision's names (`features.N.weight`, classifier ignored) and VGGFace's
    (`conv1_1.weight`). Raises UserError when a convolution is missing or of another shape.
    """
    params, index = {}, 0
    for i, count in enumerate(blocks, 1):
        for j in range(1, count + 1):
            name = f"conv{i}_{j}"
            key = name if f"{name}.weight" in state else f"features.{index}"
            if f"{key}.weight" not in state or f"{key}.bias" not in state:
                raise UserError(f"not the weights of this VGG: {key}.weight or .bias is missing")
            kernel = np.asarray(state[f"{key}.weight"], np.float32)
            if kernel.ndim != 4 or kernel.shape[2:] != (3, 3):
                raise UserError(f"not the weights of a VGG: {key}.weight has shape {kernel.shape}")
            params[name] = {
                "kernel": kernel.transpose(2, 3, 1, 0),
                "bias": np.asarray(state[f"{key}.bias"], np.float32),
            }
            index += 2  # a convolution and its ReLU
        index += 1  # the pooling
    return params


def used(params: Mapping, taps: tuple[str, ...], blocks: tuple[int, ...]) -> dict:
    """The parameters that a VGG with these taps reads; the deeper ones are dropped."""
    names = conv_names(blocks)
    deepest = max(names.index(t.replace("relu", "conv")) for t in taps)
    return jax.tree.map(jnp.asarray, {n: dict(params[n]) for n in names[: deepest + 1]})
