"""The head pose encoder alone, on exact poses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax.config import Config
from vasa_jax.face.conv import Style
from vasa_jax.face.latent_losses import pose_loss
from vasa_jax.face.motion import PoseEncoder
from vasa_jax.training.label_step import label_task
from vasa_jax.training.task import Task
from vasa_jax.typing import Image, Pose


class PoseBatch(NamedTuple):
    """image: (b, s, s, 3) in [0, 1], s = `face.motion_image_size`. pose: of its head."""

    image: Image
    pose: Pose


def pose_struct(config: Config) -> PoseBatch:
    """Shapes of a global batch."""
    b, side = config.train_face.batch, config.face.motion_image_size
    f32 = lambda *s: jax.ShapeDtypeStruct((b, *s), jnp.float32)  # noqa: E731
    return PoseBatch(f32(side, side, 3), Pose(f32(3), f32(3), f32(1)))


def pose_task(config: Config) -> Task:
    """A task for the loop; `train_face` and the loss `pose` rule it.

    Its parameters are {"face": {"pose": …}}, as stage 1 names them.
    """
    encoder = PoseEncoder(config.face, Style(config.face.norm_groups, config.dtype))
    side, losses = config.face.motion_image_size, config.face_losses.pose

    def init(key):
        return {"face": {"pose": encoder.init(key, jnp.zeros((1, side, side, 3)))["params"]}}

    def read(params, image):
        return encoder.apply({"params": params["face"]["pose"]}, image)

    def loss(layout, params, batch):
        found = layout.by_example(read)(params, batch.image)
        value = pose_loss(losses, found, batch.pose, jnp.ones(len(batch.image)))
        total = losses.weight * value
        return total, {"pose": value, "loss": total}

    return label_task("pose", config, pose_struct(config), init, loss)
