"""The models that a config describes: the paper's, or with its extensions. The only place that
chooses."""

import math
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vasa_jax.config import Config, FaceConfig, FaceExtensions
from vasa_jax.extensions.face_model import ExtendedFaceModel
from vasa_jax.extensions.residual_prior import PriorMotionTransformer
from vasa_jax.face.model import FaceModel
from vasa_jax.motion.conditions import null_conditions
from vasa_jax.motion.dit import MotionTransformer
from vasa_jax.typing import Array, Key

__all__ = ["build_face_model", "build_motion_model", "init_motion_model", "parameter_table"]


def build_face_model(
    config: FaceConfig, dtype: DTypeLike = jnp.float32, folded: bool = False
) -> FaceModel:
    """folded: for parameters that went through `fold_weight_standardisation`."""
    kind = FaceModel if config.extensions == FaceExtensions() else ExtendedFaceModel
    return kind(config, dtype, folded)


def build_motion_model(config: Config) -> MotionTransformer:
    """The diffusion transformer of a config."""
    prior = config.motion.extensions.residual_prior
    kind = PriorMotionTransformer if prior else MotionTransformer
    return kind(config.motion, config.face.motion_dim, config.dtype)


def init_motion_model(config: Config, key: Key[Array, ""]) -> dict[str, Any]:
    """Fresh variables {"params": …} of the diffusion transformer."""
    x_t = jnp.zeros((1, config.motion.window, config.face.motion_dim))
    t, conditions = jnp.zeros(1, jnp.int32), null_conditions(config)
    variables = build_motion_model(config).init(key, x_t, t, conditions)
    return cast(dict[str, Any], variables)  # a FrozenDict by an old flag of Flax alone


_PARTS = {
    "appearance": ("appearance", "context", "person"),
    "identity": ("identity",),
    "dyn": ("dyn",),
    "pose": ("pose",),
    "embed": ("embed",),
    "warps": ("warp_source", "warp_driver", "maps_source", "maps_driver"),
    "canonical": ("canonical",),
    "decoder": ("decoder", "surface"),
}


def parameter_table(config: FaceConfig) -> dict[str, int]:
    """Number of parameters of each part of the face model and in "total", from shapes alone."""
    size = config.image_size
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    params = jax.eval_shape(build_face_model(config).init, jax.random.key(0), image, image)[
        "params"
    ]
    table = {
        name: sum(
            math.prod(x.shape) for k in keys if k in params for x in jax.tree.leaves(params[k])
        )
        for name, keys in _PARTS.items()
    }
    return table | {"total": sum(table.values())}
