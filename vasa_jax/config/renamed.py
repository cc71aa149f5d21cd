"""Keys of configs under the names that they had before version 0.2.

`--set`, bundles and checkpoints that hold the old names keep working.
"""

import copy
from typing import Any

MOVED = {
    "face.pose_mirrored": "face.extensions.pose_flip_average",
    "face.dyn_crop": "face.extensions.dyn_crop",
    "face.warp_size": "face.extensions.warp_size",
    "face.dyn_maps": "face.extensions.blendshape_maps",
    "face.decoder_dyn": "face.extensions.decoder_embed",
    "face.compose": "face.extensions.compositing",
    "face.network_size": "face.extensions.network_size",
    "face.compose_context": "face.extensions.portrait_features",
    "face.compose_plate": "face.extensions.background",
    "face.freeze_pose": "train_face.freeze_pose",
    "face.freeze_dyn": "train_face.freeze_dyn",
    "face_losses.exact.codes": "train_face.arkit_code",
    "face_losses.exact.encoded_source": "train_face.encoded_source",
    "face_losses.exact.moved": "face_losses.transfer.motion_weighted",
    "face_losses.exact.drawn": "face_losses.transfer.decoded",
    "face_losses.exact.choice": "face_losses.transfer.layer_assignment",
    "face_losses.exact.shares": "face_losses.transfer.blend_masks",
    "face_losses.exact.person": "face_losses.transfer.foreground",
    **{
        f"face_losses.exact.{key}": f"face_losses.transfer.{key}"
        for key in (
            "weight",
            "pixel",
            "perceptual",
            "regions",
            "patches",
            "flow",
            "flow_regions",
        )
    },
    "audio.augment": "train_motion.augment_audio",
    "motion.prior": "motion.extensions.residual_prior",
    "diffusion.rest_share": "motion.extensions.neutral_start",
    **{
        f"diffusion.{key}": f"train_motion.{key}"
        for key in (
            "drop_condition",
            "drop_context",
            "drop_tail",
            "velocity_weight",
            "smoothness_weight",
            "lips_weight",
        )
    },
    # Tried for a few days, in no weights that ship.
    "face.compose_mouth": "",
    "face.trained": "",
    "face_losses.exact.mouth_place": "",
    # All stages had it, stage 1 alone reads it.
    "train_pose.scan_decodes": "",
    "train_motion.scan_decodes": "",
    # Never free to choose.
    "motion.gaze_dim": "",
    "motion.distance_dim": "",
    "motion.emotion_dim": "",
}
"""Old name -> name of today; "": gone, and without effect."""


def new_name(key: str) -> str:
    """The name of today of a key of `--set`."""
    return MOVED.get(key) or key


def upgraded(data: Any) -> Any:
    """A config as `to_dict` made it, then or today, under the names of today."""
    if not isinstance(data, dict):
        return data
    data = copy.deepcopy(data)
    for old, new in MOVED.items():
        *path, last = old.split(".")
        section = _section(data, path)
        if section is None or last not in section:
            continue
        value = section.pop(last)
        if new:
            *path, last = new.split(".")
            found = _section(data, path, make=True)
            if found is not None:  # else no section: reading it as a config says so
                found.setdefault(last, value)
    if not _section(data, ["face_losses", "exact"]):
        data.get("face_losses", {}).pop("exact", None)
    return data


def _section(data: dict[str, Any], path: list[str], make: bool = False) -> dict[str, Any] | None:
    """The section at `path`; None where there is none and it is not to be made."""
    for name in path:
        found = data.setdefault(name, {}) if make else data.get(name)
        if not isinstance(found, dict):
            return None
        data = found
    return data
