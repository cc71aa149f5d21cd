"""The face model's two programs of inference as pure functions."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vasa_jax.face.conv import WS_KERNEL, fold_weight_standardisation
from vasa_jax.face.model import FaceModel
from vasa_jax.face.pose import vector_to_motion
from vasa_jax.motion.dit import FLOAT32_PARTS
from vasa_jax.typing import Array, Float, Source, UInt8


def encode_portrait(face: FaceModel, params: dict, image: UInt8[Array, "b h w 3"]) -> Source:
    """Appearance volume, identity and pose of each portrait (VASA-1 section 3.1)."""
    images = image.astype(jnp.float32) / 255
    source: Any = face.apply({"params": params}, images, method="encode_portrait")
    return source


def decode_frames(
    face: FaceModel, params: dict, source: Source, vectors: Float[Array, "b m"]
) -> UInt8[Array, "b h w 3"]:
    """One frame per motion vector [pose, z_dyn]; as uint8, a quarter of the bytes to copy."""
    motion = vector_to_motion(vectors)
    image: Any = face.apply({"params": params}, source, motion, method="decode")
    return jnp.round(jnp.clip(image, 0, 1) * 255).astype(jnp.uint8)


def jit_encode(face: FaceModel) -> jax.stages.Wrapped:
    """`encode_portrait` of one model, jitted: (params, image)."""
    return jax.jit(lambda params, image: encode_portrait(face, params, image))


def jit_decode(face: FaceModel) -> jax.stages.Wrapped:
    """`decode_frames` of one model, jitted: (params, source, vectors)."""
    return jax.jit(lambda params, source, vectors: decode_frames(face, params, source, vectors))


DECODE_PARTS = ("embed", "warp_driver", "decoder")
"""The parts of the face model that run for every frame."""


def inference_params(params: dict, dtype: DTypeLike) -> dict:
    """A bundle's {'face': …, 'audio': …, 'motion': …} as inference uses them.

    Kernels of the face model are weight-standardised in advance; those that run per frame or per
    step are stored in the compute type. The layers would cast them at every call, so results are
    the same bits, but the device reads half the bytes and writes none.
    """
    face = fold_weight_standardisation(params["face"])
    narrowed = {part: narrow(face[part], dtype) for part in DECODE_PARTS}
    motion = {
        part: leaves if part in FLOAT32_PARTS else narrow(leaves, dtype)
        for part, leaves in params["motion"].items()
    }
    return {**params, "face": {**face, **narrowed}, "motion": motion}


def narrow(params: Any, dtype: DTypeLike) -> Any:
    """A tree of parameters with its kernels as `dtype`."""

    def cast(path, leaf):
        is_kernel = path and getattr(path[-1], "key", None) in ("kernel", WS_KERNEL)
        return leaf.astype(dtype) if is_kernel else leaf

    return jax.tree_util.tree_map_with_path(cast, params)
