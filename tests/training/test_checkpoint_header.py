"""What a checkpoint says of its config, then and today, and what of it must not change."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from vasa_jax.config import Config, get_config
from vasa_jax.config.overrides import to_dict
from vasa_jax.errors import UserError
from vasa_jax.training.checkpoint import _check_header

WHERE = Path("run")
OLD = {
    "face.extensions.compositing": "face.compose",
    "face.extensions.network_size": "face.network_size",
    "train_face.freeze_pose": "face.freeze_pose",
    "motion.extensions.residual_prior": "motion.prior",
    "motion.extensions.neutral_start": "diffusion.rest_share",
    "train_motion.augment_audio": "audio.augment",
}


def as_before(config: Config, stage: str) -> dict:
    """The header that version 0.1 wrote, with these keys under their old names."""
    data = copy.deepcopy(to_dict(config))
    for new, old in OLD.items():
        *path, last = new.split(".")
        section = data
        for name in path:
            section = section[name]
        to, key = old.split(".")
        data[to][key] = section.pop(last)
    return {"stage": stage, "config": data}


def with_extensions(config: Config, **changes) -> Config:
    face = replace(config.face, extensions=replace(config.face.extensions, **changes))
    return replace(config, face=face)


@pytest.mark.parametrize("stage", ["pose", "face", "motion"])
def test_a_checkpoint_of_before_goes_on_under_the_same_config(stage):
    config = get_config("demo")
    _check_header(as_before(config, stage), config, stage, WHERE)
    _check_header({"stage": stage, "config": to_dict(config)}, config, stage, WHERE)


@pytest.mark.parametrize("then", [as_before, lambda c, s: {"stage": s, "config": to_dict(c)}])
def test_what_would_be_another_model_or_other_frozen_parts_is_refused(then):
    config = get_config("demo")
    wider = with_extensions(config, network_size=64)
    with pytest.raises(
        UserError, match=r"face\.extensions\.network_size=128, this run asks for 64"
    ):
        _check_header(then(config, "face"), wider, "face", WHERE)
    _check_header(then(config, "pose"), wider, "pose", WHERE)  # not the pose encoder's
    loose = replace(config, train_face=replace(config.train_face, freeze_pose=False))
    with pytest.raises(UserError, match=r"train_face\.freeze_pose=True"):
        _check_header(then(config, "face"), loose, "face", WHERE)
    quiet = replace(config, train_motion=replace(config.train_motion, augment_audio=False))
    with pytest.raises(UserError, match=r"train_motion\.augment_audio=True"):
        _check_header(then(config, "motion"), quiet, "motion", WHERE)
    # Optimisation, and which windows are seen, may change.
    motion = replace(config.motion, extensions=replace(config.motion.extensions, neutral_start=0.1))
    slower = replace(config.train_motion, learning_rate=1e-5)
    changed = replace(config, motion=motion, train_motion=slower)
    _check_header(then(config, "motion"), changed, "motion", WHERE)
