"""The head pose encoder alone, on pose labels (MegaPortraits pretrains and freezes its own)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vasa_jax.config import Config
from vasa_jax.face.conv import LayerOptions
from vasa_jax.face.latent_losses import pose_loss
from vasa_jax.face.motion import PoseEncoder
from vasa_jax.training.supervised_trainer import SupervisedTrainer
from vasa_jax.typing import Array, Float, Image, Pose


class PoseBatch(NamedTuple):
    """Images and the poses of their heads."""

    image: Image
    """(b, s, s, 3) in [0, 1], s = `face.motion_image_size`."""
    pose: Pose
    present: Float[Array, " b"] | None = None
    """1 where the pose is known (elsewhere its values are ignored); None: everywhere."""


def pose_struct(config: Config, flags: bool = False) -> PoseBatch:
    """Shapes of a global batch. flags: whether only some poses are known."""
    b, side = config.train_pose.batch, config.face.motion_image_size

    def f32(*shape: int) -> Any:
        return jax.ShapeDtypeStruct((b, *shape), jnp.float32)

    return PoseBatch(f32(side, side, 3), Pose(f32(3), f32(3), f32(1)), f32() if flags else None)


def pose_trainer(
    config: Config,
    batch: PoseBatch | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> SupervisedTrainer:
    """The trainer under `train_pose` and the parts of the loss `pose`, whose weight against other
    losses does not count here.

    Its parameters are {"face": {"pose": …}}, as stage 1 names them. batch: shapes of a global one.
    """
    encoder = PoseEncoder(config.face, LayerOptions(config.face.norm_groups, config.dtype))
    side, losses = config.face.motion_image_size, config.face_losses.pose

    def init(key):
        return {"face": {"pose": encoder.init(key, jnp.zeros((1, side, side, 3)))["params"]}}

    def encode(params, image):
        return encoder.apply({"params": params["face"]["pose"]}, image)

    def predict(layout, params, batch):
        return layout.by_example(encode)(params, batch.image)

    def terms(pose, batch):
        present = jnp.ones(len(batch.image)) if batch.present is None else batch.present
        return [("pose", 1.0, pose_loss(losses, pose, batch.pose, present))]

    struct = pose_struct(config) if batch is None else batch
    return SupervisedTrainer(
        "pose", config, config.train_pose, struct, init, predict, terms, optimizer
    )
