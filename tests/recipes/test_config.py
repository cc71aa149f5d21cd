"""The configs of the recipe's stages, against a table of those that trained the weights."""

import json
from contextlib import closing
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from recipes.demo import ablate_swaps
from recipes.demo import config as recipe
from recipes.demo.lease import parts
from tests.data_pipeline.helpers import make_group
from vasa_jax.config import Config, FaceLossConfig, get_config
from vasa_jax.config.overrides import apply_overrides
from vasa_jax.config.renamed import MOVED
from vasa_jax.data_pipeline.loading.swap_groups import SwapGroups
from vasa_jax.data_pipeline.swaps import write_group
from vasa_jax.perception.loss_networks import loss_networks
from vasa_jax.training.mesh import single_device
from vasa_jax.training.run import make_trainer


def _golden() -> dict[str, dict]:
    """Every key and value of each stage's config; stored as what differs from another stage's."""
    found: dict[str, dict] = {}
    file = Path(__file__).parent / "golden" / "configs.json"
    for name, values in json.loads(file.read_text()).items():
        found[name] = found.get(values.pop("from", ""), {}) | values
    return found


def _configs() -> dict[str, Config]:
    made = {
        f"{scale}/{stage.name}": stage.config
        for scale in ("cpu", "gpu")
        for stage in recipe.stages(scale)
    }
    made |= {f"{scale}/motion": recipe.motion_stage(scale).config for scale in ("cpu", "gpu")}
    made |= {
        f"{name}/{part.name}": part.config
        for name, scale in (("lease", parts.LEASE), ("rehearsal", parts.REHEARSAL))
        for part in scale.parts
    }
    ablations = ablate_swaps.stages(500, 64)
    return made | {f"ablation/{stage.name}": stage.config for stage in ablations}


GOLDEN = _golden()


def test_the_table_has_every_stage():
    assert set(_configs()) == set(GOLDEN)


def _used(name: str, config: Config) -> Config:
    """The config without what a stage does not read: other stages' sections, losses of weight 0."""
    kind = name.split("/")[1]
    own = {"pose": "train_pose", "motion": "train_motion"}.get(kind, "train_face")
    sections = {"train_pose", "train_face", "train_motion"} - {own}
    found = replace(config, **{key: type(getattr(config, key))() for key in sections})
    if kind == "motion":
        return replace(found, face_losses=FaceLossConfig())
    losses = {
        field.name: type(loss)(weight=0.0)
        for field in fields(config.face_losses)
        if getattr(loss := getattr(config.face_losses, field.name), "weight", 1) == 0
    }
    train = found.train_face
    train = replace(train, encoded_source=train.encoded_source and train.arkit_code)
    return replace(found, face_losses=replace(config.face_losses, **losses), train_face=train)


@pytest.mark.parametrize("name", GOLDEN)
def test_stages_are_what_they_were(name):
    values = dict(GOLDEN[name])
    config = get_config(values.pop("name"))
    texts = (
        f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in values.items()
        if value != [] and MOVED.get(key) != ""
    )
    assert _used(name, _configs()[name]) == _used(name, apply_overrides(config, texts))


def test_the_named_config_is_the_main_stage_at_twice_its_size():
    stages = {stage.name: stage.config for stage in recipe.stages("cpu")}
    config = get_config("demo")
    assert stages["face128"] == replace(config, face=replace(config.face, image_size=128))
    assert stages["pose"].train_pose == config.train_pose
    assert recipe.motion_stage("cpu").config == config


def test_the_command_runs_the_named_config(tmp_path):
    """What `vasa-jax train face --config demo --swaps` traces on a folder of groups."""
    write_group(tmp_path / "0.npz", make_group(0, size=256, places=32))
    config = get_config("demo")
    with closing(SwapGroups(tmp_path, config)) as groups:
        task = make_trainer(config, "face", groups, {}, loss_networks(config)[0])
    state = jax.eval_shape(lambda key: task.init(key, {}), jax.random.key(0))
    step = partial(task.step, single_device())
    after, metrics = jax.eval_shape(step, state, {}, groups.struct, jax.random.key(0))
    assert jax.tree.map(jnp.shape, after.params) == jax.tree.map(jnp.shape, state.params)
    assert {"loss", "pose_only", "dyn_only"} <= set(metrics)
