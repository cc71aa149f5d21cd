"""Supervised z_dyn: scaled ARKit coefficients and eye gaze, as targets instead of learned codes.

VASA-1 learns z_dyn by self-supervision. Rendered heads come with exact labels: the generator can
learn from exact codes before any encoder reads them well, such a code holds nothing of a person,
and the dynamics encoder learns it from images.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_regressor import INPUTS, ReadIn
from vasa_jax.face.batch import FaceBatch, Frame, Pictures
from vasa_jax.face.pose import rotation_matrix
from vasa_jax.typing import ARKIT, Array, Float, Motion

__all__ = [
    "SCALE",
    "batch_motions",
    "fold_read_outs",
    "label_code",
    "label_motions",
    "label_read_in",
]

SCALE = 4.0
"""Of every entry: coefficients and radians spread by 0.1 to 0.3, codes by about 1."""


def eyes_in_head(gaze: Float[Array, "b 2"], rotation: Float[Array, "b 3"]) -> Float[Array, "b 2"]:
    """Yaw and pitch of gaze (radians, against the camera's axes) turned back by the head's."""
    yaw, pitch = gaze[:, 0], gaze[:, 1]
    away = -jnp.cos(yaw) * jnp.cos(pitch)
    look = jnp.stack([jnp.sin(yaw) * jnp.cos(pitch), -jnp.sin(pitch), away], -1)
    turn = rotation_matrix(rotation)
    x, y, z = jnp.moveaxis(jnp.einsum("bji,bj->bi", turn, look, precision="highest"), -1, 0)
    return jnp.stack([jnp.arctan2(x, -z), jnp.arcsin(jnp.clip(-y, -1, 1))], -1)


def label_code(
    arkit: Float[Array, "b 52"], eyes: Float[Array, "b 2"], dim: int
) -> Float[Array, "b dyn"]:
    """z_dyn = SCALE [arkit, eyes, 0 …]. Raises ValueError for a `dim` below 54."""
    if dim < INPUTS:
        raise ValueError(f"dyn_dim {dim} holds no {INPUTS} labels")
    code = SCALE * jnp.concatenate([arkit, eyes], -1)
    return jnp.pad(code, ((0, 0), (0, dim - INPUTS)))


def label_motions(batch: FaceBatch, dim: int) -> tuple[Motion, Motion]:
    """Motion of source and driver by their labels alone. Raises UserError where one is missing."""
    return (
        _label_motion(batch.source, dim),
        _label_motion(batch.driver, dim),
    )


def _label_motion(frame: Frame, dim: int) -> Motion:
    pose, arkit, gaze = frame.pose, frame.arkit, frame.gaze
    if pose is None or arkit is None or gaze is None:
        raise UserError(
            "train_face.arkit_code needs data with head pose, gaze and ARKit labels "
            "of every picture: use swaps, or switch it off"
        )
    code = label_code(arkit, eyes_in_head(gaze, pose.rotation), dim)
    return Motion(pose, lax.stop_gradient(code))


def batch_motions(
    config: Config, batch: FaceBatch, encode_motion: Callable[[Pictures], Motion]
) -> tuple[Motion, Motion]:
    """Motion of source and driver: by their labels under `train_face.arkit_code`, else encoded.

    With `train_face.encoded_source` a source's z_dyn is encoded all the same, as at inference.
    Raises UserError where labels are needed and the data has none.
    """
    if not config.train_face.arkit_code:
        return encode_motion(batch.source.view), encode_motion(batch.driver.view)
    source, driver = label_motions(batch, config.face.dyn_dim)
    if config.train_face.encoded_source:
        source = source._replace(dyn=encode_motion(batch.source.view).dyn)
    return source, driver


def label_read_in(dim: int) -> ReadIn:
    """The same code as stage 2 needs it, for faces without pictures."""
    zeros, kernel = np.zeros(INPUTS, np.float32), np.zeros((INPUTS, dim), np.float32)
    kernel[:, :INPUTS] = SCALE * np.eye(INPUTS, dtype=np.float32)
    return ReadIn(
        "linear",
        {
            "centre": zeros,
            "spread": zeros + 1,
            "shift": zeros,
            "bias": np.zeros(dim, np.float32),
            "kernel": kernel,
        },
    )


def fold_read_outs(params: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder with its linear read-outs -> an encoder whose code is what they read.

    params: "face" with "dyn", "arkit", "gaze" (`label_losses.HEADS`). Entries past the labels
    become 0. Of gaze, what comes off z_dyn is kept: the rest is the head's rotation. The new heads
    read the same from the new code.
    """
    arkit, gaze = (params[name]["Dense_0"] for name in ("arkit", "gaze"))
    last = params["face"]["dyn"]["head"]
    kernel, bias = (np.asarray(last[name], np.float64) for name in ("kernel", "bias"))
    dim = len(bias)
    read = np.zeros((dim, dim))
    read[:, : len(ARKIT)] = arkit["kernel"]
    read[:, len(ARKIT) : INPUTS] = np.asarray(gaze["kernel"])[:dim]
    shift = np.zeros(dim)
    shift[: len(ARKIT)] = arkit["bias"]
    shift[len(ARKIT) : INPUTS] = gaze["bias"]
    head = {"kernel": SCALE * kernel @ read, "bias": SCALE * (bias @ read + shift)}
    back = np.eye(dim) / SCALE
    turned = np.asarray(gaze["kernel"], np.float64)[dim:]
    heads = {
        "arkit": {"kernel": back[:, : len(ARKIT)], "bias": np.zeros(len(ARKIT))},
        "gaze": {
            "kernel": np.concatenate([back[:, len(ARKIT) : INPUTS], turned]),
            "bias": np.zeros(2),
        },
    }
    as_float = lambda tree: {k: np.asarray(v, np.float32) for k, v in tree.items()}  # noqa: E731
    face = dict(params["face"]) | {"dyn": dict(params["face"]["dyn"]) | {"head": as_float(head)}}
    return dict(params) | {"face": face} | {n: {"Dense_0": as_float(h)} for n, h in heads.items()}
