"""The face model's pose and dynamics encoders alone, on all devices: for videos and data sets."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vasa_jax.bundle import build_networks
from vasa_jax.config import Config
from vasa_jax.config.overrides import to_dict
from vasa_jax.face.conv import fold_weight_standardisation
from vasa_jax.face.pose import motion_to_vector
from vasa_jax.params import flatten
from vasa_jax.typing import Float, Frames


class MotionEncoder:
    """Frames to [pose, z_dyn] in batches of one size, split over devices on the batch axis.

    params: the face model's. per_device: frames of a device at once (default: the config's
    decode_batch). devices: default all of this host. The attribute `batch` counts the frames of one
    call, on all devices.
    """

    def __init__(
        self,
        config: Config,
        params: dict,
        per_device: int | None = None,
        devices: Sequence[Any] | None = None,
    ):
        devices = list(jax.local_devices() if devices is None else devices)
        self.config = config
        self.batch = (per_device or config.inference.decode_batch) * len(devices)
        mesh = jax.make_mesh((len(devices),), ("data",), (AxisType.Auto,), devices=devices)
        whole = NamedSharding(mesh, PartitionSpec())
        self._rows = NamedSharding(mesh, PartitionSpec("data"))
        face = build_networks(config, folded=True).face

        def encode(params, frames):
            images = frames.astype(jnp.float32) / 255
            return motion_to_vector(face.apply({"params": params}, images, method="encode_motion"))

        self._given = params
        self._params = jax.device_put(jax.jit(fold_weight_standardisation)(params), whole)
        self._encode = jax.jit(encode, in_shardings=(whole, self._rows), out_shardings=self._rows)

    @cached_property
    def identity(self) -> str:
        """Digest of what the result depends on: the face model's config, parameters, precision."""
        words = json.dumps([to_dict(self.config)["face"], self.config.precision], sort_keys=True)
        digest = hashlib.sha256(words.encode())
        for name, leaf in sorted(flatten(self._given).items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(leaf).data)
        return digest.hexdigest()[:16]

    def __call__(self, batches: Iterable[Frames]) -> Float[np.ndarray, "t m"]:
        """[pose, z_dyn] of uint8 frames (n, size, size, 3), n at most `batch`, in order.

        The next batch is read while the devices work on this one.
        """
        rows, pending = [], None
        for frames in batches:
            missing = self.batch - len(frames)
            padded = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
            ahead = self._encode(self._params, jax.device_put(padded, self._rows))
            if pending is not None:
                rows.append(np.asarray(pending[0])[: pending[1]])
            pending = ahead, len(frames)
        if pending is not None:
            rows.append(np.asarray(pending[0])[: pending[1]])
        if not rows:
            return np.zeros((0, self.config.face.motion_dim), np.float32)
        return np.concatenate(rows)
