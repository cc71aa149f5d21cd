"""SyncNet (Chung and Zisserman, "Out of time", ACCV-W 2016) as in joonson/syncnet_python.

Its weights are published without a licence and ship in no package: `load` takes the user's own
file, `syncnet_v2.model` or what `vasa-jax weights convert syncnet` makes of it.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.lax import Precision

from vasa_jax.errors import UserError
from vasa_jax.params import check_against, flatten, load_safetensors, read_metadata, unflatten
from vasa_jax.perception.torch_state import read_state
from vasa_jax.sync.distances import NOT_MEASURED, SyncScore, sync_score
from vasa_jax.sync.mfcc import COEFFICIENTS, mfcc
from vasa_jax.typing import SAMPLES_PER_FRAME, Array, Float, Int, UInt8

__all__ = ["SHA256", "LipNetwork", "SoundNetwork", "embed", "load", "params_from_torch"]

SHA256 = "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442"
"""Of the published `syncnet_v2.model`, 54,573,114 bytes."""
NETWORK = "syncnet"
SIDE, DEPTH, COLUMNS = 224, 5, 20
"""Pixels of a crop; frames and MFCC columns that one embedding sees."""
DIM = 1024
LIP_BATCH, SOUND_BATCH = 16, 256
_COLUMNS_A_FRAME = 4
_KEYS = ("netcnnlip", "netcnnaud", "netfclip", "netfcaud")


class _Layer(nn.Module):
    """Convolution, batch norm, ReLU, with torch's paddings and constants."""

    features: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] | int = 1
    padding: tuple[int, ...] | int = 0

    @nn.compact
    def __call__(self, x):
        rank = len(self.kernel)
        pads = (self.padding,) * rank if isinstance(self.padding, int) else self.padding
        x = nn.Conv(
            self.features,
            self.kernel,
            strides=self.stride,
            padding=[(p, p) for p in pads],
            precision=Precision.HIGHEST,
            name="conv",
        )(x)
        return nn.relu(_norm()(x))


def _norm():
    return nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="norm")


class _Head(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(512, precision=Precision.HIGHEST, name="up")(x)
        return nn.Dense(DIM, precision=Precision.HIGHEST, name="out")(nn.relu(_norm()(x)))


class LipNetwork(nn.Module):
    """Frames (t, 224, 224, 3), BGR, 0..255 -> (t - 4, 1024): one vector for any 5 frames.

    Only the first layer sees more than one frame, so each is looked at once.
    """

    @nn.compact
    def __call__(self, frames: Float[Array, "t h w 3"]) -> Float[Array, "u 1024"]:
        pool = partial(nn.max_pool, window_shape=(1, 3, 3), strides=(1, 2, 2))
        x = frames[None]
        x = _Layer(96, (5, 7, 7), (1, 2, 2), name="conv1")(x)
        x = pool(x)
        x = _Layer(256, (1, 5, 5), (1, 2, 2), (0, 1, 1), name="conv2")(x)
        x = pool(x, padding=((0, 0), (1, 1), (1, 1)))
        for k in (3, 4, 5):
            x = _Layer(256, (1, 3, 3), 1, (0, 1, 1), name=f"conv{k}")(x)
        x = pool(x)
        x = _Layer(512, (1, 6, 6), name="conv6")(x)
        return _Head(name="head")(x.reshape(x.shape[1], -1))


class SoundNetwork(nn.Module):
    """MFCC windows (b, 13, 20) -> (b, 1024)."""

    @nn.compact
    def __call__(self, columns: Float[Array, "b 13 20"]) -> Float[Array, "b 1024"]:
        x = columns[..., None]
        x = _Layer(64, (3, 3), 1, 1, name="conv1")(x)  # its max pool has one pixel
        x = _Layer(192, (3, 3), 1, 1, name="conv2")(x)
        x = nn.max_pool(x, (3, 3), (1, 2))
        x = _Layer(384, (3, 3), 1, 1, name="conv3")(x)
        for k in (4, 5):
            x = _Layer(256, (3, 3), 1, 1, name=f"conv{k}")(x)
        x = nn.max_pool(x, (3, 3), (2, 2))
        x = _Layer(512, (5, 4), name="conv6")(x)
        return _Head(name="head")(x.reshape(len(x), -1))


_CONVOLUTIONS = (0, 4, 8, 11, 14, 18)
"""Where they stand in torch's Sequential; the batch norm comes after."""


def params_from_torch(state: Mapping[str, np.ndarray]) -> dict:
    """{"lips", "sounds"} -> the variables of the two networks, from the published state dict.

    Raises UserError for another network's.
    """
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    variables = {}
    try:
        for name, body, head in (("lips", "lip", "lip"), ("sounds", "aud", "aud")):
            params: dict = {}
            stats: dict = {}
            for k, at in enumerate(_CONVOLUTIONS, 1):
                source = f"netcnn{body}."
                kernel = np.moveaxis(state[f"{source}{at}.weight"], (0, 1), (-1, -2))
                conv = {"kernel": kernel, "bias": state[f"{source}{at}.bias"]}
                scale, moments = _batch_norm(state, f"{source}{at + 1}")
                params[f"conv{k}"] = {"conv": conv, "norm": scale}
                stats[f"conv{k}"] = {"norm": moments}
            source = f"netfc{head}."
            scale, moments = _batch_norm(state, f"{source}1")
            params["head"] = {
                "up": _dense(state, f"{source}0"),
                "norm": scale,
                "out": _dense(state, f"{source}3"),
            }
            stats["head"] = {"norm": moments}
            variables[name] = {"params": params, "batch_stats": stats}
    except (KeyError, ValueError) as error:
        raise UserError(
            f"these are not the weights of SyncNet ({error}); it has {', '.join(_KEYS)}"
        ) from None
    check_against(flatten(variables), flatten(_shapes()), "weights of SyncNet")
    return variables


def _batch_norm(state, at):
    scale = {"scale": state[f"{at}.weight"], "bias": state[f"{at}.bias"]}
    return scale, {"mean": state[f"{at}.running_mean"], "var": state[f"{at}.running_var"]}


def _dense(state, at):
    return {"kernel": state[f"{at}.weight"].T, "bias": state[f"{at}.bias"]}


def _shapes() -> dict:
    """Shapes of the variables of both networks."""
    key = jax.random.key(0)
    frames = jnp.zeros((DEPTH, SIDE, SIDE, 3))
    columns = jnp.zeros((1, COEFFICIENTS, COLUMNS))
    return {
        "lips": dict(jax.eval_shape(LipNetwork().init, key, frames)),
        "sounds": dict(jax.eval_shape(SoundNetwork().init, key, columns)),
    }


_embed_lips = jax.jit(LipNetwork().apply)
_embed_sounds = jax.jit(SoundNetwork().apply)


def embed(
    variables: Mapping,
    frames: UInt8[np.ndarray, "t 224 224 3"],
    samples: Int[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "u 1024"], Float[np.ndarray, "u 1024"]]:
    """Embeddings of lips and of sound, u = min(t, n // 640) - 5 of each, none where that is less.

    frames: RGB at 25 fps, the published crop. samples: int16 at 16 kHz from the same start.
    """
    count = max(min(len(frames), len(samples) // SAMPLES_PER_FRAME) - DEPTH, 0)
    lips, sounds = np.zeros((count, DIM), np.float32), np.zeros((count, DIM), np.float32)
    for at in range(0, count, LIP_BATCH):
        part = frames[at : min(at + LIP_BATCH, count) + DEPTH - 1, ..., ::-1]  # to BGR
        part = np.pad(part, ((0, LIP_BATCH + DEPTH - 1 - len(part)), (0, 0), (0, 0), (0, 0)))
        found = np.asarray(_embed_lips(variables["lips"], part.astype(np.float32)))
        lips[at : at + LIP_BATCH] = found[: count - at]
    if count:
        columns = mfcc(samples).T.astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(columns, COLUMNS, axis=1)
        windows = windows[:, ::_COLUMNS_A_FRAME][:, :count].transpose(1, 0, 2)
    for at in range(0, count, SOUND_BATCH):
        part = windows[at : at + SOUND_BATCH]
        part = np.pad(part, ((0, SOUND_BATCH - len(part)), (0, 0), (0, 0)))
        found = np.asarray(_embed_sounds(variables["sounds"], part))
        sounds[at : at + SOUND_BATCH] = found[: count - at]
    return lips, sounds


def load(path: Path | str) -> Callable[[UInt8[np.ndarray, "t 224 224 3"], np.ndarray], SyncScore]:
    """SyncNet with the weights of a file: (RGB crops at 25 fps, int16 samples at 16 kHz) -> score.

    path: the published file, told by its SHA-256 and read by torch without running anything in it;
    or our conversion, which needs no torch. Raises UserError for any other file.
    """
    variables = _read(Path(path))

    def score(frames, samples):
        lips, sounds = embed(variables, frames, samples)
        return sync_score(lips, sounds) if len(lips) else NOT_MEASURED

    return score


def _read(path: Path) -> dict:
    if path.suffix == ".safetensors":
        flat = load_safetensors(path)
        if read_metadata(path).get("network") != NETWORK:
            raise UserError(
                f"{path}: does not say that it is SyncNet's; make it by `vasa-jax weights convert`"
            )
        check_against(flat, flatten(_shapes()), str(path))
        return unflatten(flat)
    check_published(path)
    return params_from_torch(read_state(path))


def check_published(path: Path) -> None:
    """Raise UserError unless a file is the published `syncnet_v2.model`."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    if found != SHA256:
        raise UserError(
            f"{path}: is not the published syncnet_v2.model (its SHA-256 is {found[:12]}…, wanted "
            f"{SHA256[:12]}…), so its figures would not be SyncNet's; get it from Oxford's VGG "
            "page, or give what `vasa-jax weights convert` made of your own network"
        )
