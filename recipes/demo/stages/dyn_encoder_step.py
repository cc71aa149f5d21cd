"""Pretraining of the dynamics encoder alone, supervised by ARKit coefficients and gaze.

VASA-1 learns z_dyn without labels. Crops (`face.extensions.dyn_crop`) come ready, cut at the exact
head pose with some jitter.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vasa_jax.config import Config
from vasa_jax.errors import UserError
from vasa_jax.extensions.label_losses import HEADS
from vasa_jax.face.conv import LayerOptions
from vasa_jax.face.latent_losses import arkit_loss, gaze_loss
from vasa_jax.face.motion import DynEncoder
from vasa_jax.face.pose import identity_pose
from vasa_jax.training.supervised_trainer import SupervisedTrainer
from vasa_jax.training.trainer import Trainer
from vasa_jax.typing import Array, Float, Image, Motion


class DynEncoderBatch(NamedTuple):
    """Crops of `dyn_crop` px as `face_crop` cuts them, and labels as in `FaceBatch`."""

    crop: Image  # in [0, 1]
    rotation: Float[Array, "b 3"]
    gaze: Float[Array, "b 2"]
    arkit: Float[Array, "b 52"]


def dyn_encoder_struct(config: Config) -> DynEncoderBatch:
    """Shapes of a global batch."""

    def f32(*shape: int) -> Any:
        return jax.ShapeDtypeStruct((config.train_face.batch, *shape), jnp.float32)

    side = config.face.extensions.dyn_crop
    return DynEncoderBatch(f32(side, side, 3), f32(3), f32(2), f32(52))


def dyn_encoder_trainer(
    config: Config, optimizer: optax.GradientTransformation | None = None
) -> Trainer:
    """The trainer under `train_face` and the weights of the losses `arkit` and `gaze`.

    Parameters: {"face": {"dyn": ...}, "arkit": ..., "gaze": ...}, as in stage 1, the latter two
    linear heads. optimizer: in place of AdamW. Raises UserError without a `dyn_crop`.
    """
    if not config.face.extensions.dyn_crop:
        raise UserError(
            "the dynamics encoder is trained alone on crops: set face.extensions.dyn_crop"
        )
    side = config.face.extensions.dyn_crop
    encoder = DynEncoder(config.face, LayerOptions(config.face.norm_groups, config.dtype), side)
    heads = {name: HEADS[name]() for name in ("gaze", "arkit")}

    def read(params, crop, rotation):
        pose = identity_pose(len(crop))._replace(rotation=rotation)
        motion = Motion(pose, encoder.apply({"params": params["face"]["dyn"]}, crop))
        return {name: head.apply({"params": params[name]}, motion) for name, head in heads.items()}

    def init(key):
        keys = jax.random.split(key, 3)
        dyn = encoder.init(keys[0], jnp.zeros((1, side, side, 3)))["params"]
        motion = Motion(identity_pose(1), jnp.zeros((1, config.face.dyn_dim)))
        params = {"face": {"dyn": dyn}}
        for k, (name, head) in zip(keys[1:], heads.items(), strict=True):
            params[name] = head.init(k, motion)["params"]
        return params

    def said(layout, params, batch):
        return layout.by_example(read)(params, batch.crop, batch.rotation)

    def terms(said, batch):
        losses = config.face_losses
        gaze = gaze_loss(said["gaze"], batch.gaze, jnp.ones(len(batch.gaze)))
        return [
            ("arkit", losses.arkit.weight, arkit_loss(losses.arkit, said["arkit"], batch.arkit)),
            ("gaze", losses.gaze.weight, gaze),
        ]

    struct = dyn_encoder_struct(config)
    return SupervisedTrainer(
        "reader", config, config.train_face, struct, init, said, terms, optimizer
    )
