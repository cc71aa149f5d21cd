"""Check that stage 1 has a source of head pose: labels in the data, or a pretrained encoder.

The paper's losses do not determine how z_pose and the warps share a rotation of the head.
MegaPortraits pretrains the pose encoder and freezes it; here that, or the loss on labels.
"""

from vasa_jax.config import Config
from vasa_jax.errors import UserError

HOW = (
    "label the data by `vasa-jax prepare`, or give an encoder that `vasa-jax train pose` made "
    "from other data: --pose WORKDIR"
)


def check_pose(config: Config, labelled: bool, started: bool, where: str) -> None:
    """Raise UserError unless something ties z_pose to poses in units of `Pose`.

    labelled: the data has head pose labels. started: the encoder was trained before. where: names
    the data.
    """
    if config.train_face.freeze_pose:
        if not started:
            raise UserError(
                "train_face.freeze_pose=true would keep a head pose encoder that nothing has "
                "trained; train it by `vasa-jax train pose`, then give it: --pose "
                "WORKDIR"
            )
    elif not labelled:
        raise UserError(
            f"{where}: has no head pose labels, and no trained encoder is frozen, so "
            f"nothing would tie z_pose to a head's pose; {HOW}"
        )
    elif not config.face_losses.pose.weight:
        raise UserError(
            "face_losses.pose.weight=0 and train_face.freeze_pose=false: nothing would tie "
            "z_pose to a head's pose; leave the labels' loss on, or give a trained "
            "encoder: --pose WORKDIR"
        )
