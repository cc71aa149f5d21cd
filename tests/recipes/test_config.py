"""The configs of the recipe's stages, against a table of those that trained the weights."""

import json
from pathlib import Path

import pytest

from recipes.demo import ablate_swaps, motion
from recipes.demo import config as recipe
from recipes.demo.lease import parts
from vasa_jax.config import Config, get_config
from vasa_jax.config.overrides import apply_overrides
from vasa_jax.config.renamed import MOVED


def _golden() -> dict[str, dict]:
    """Every key and value of each stage's config; stored as what differs from another stage's."""
    found: dict[str, dict] = {}
    file = Path(__file__).parent / "golden" / "configs.json"
    for name, values in json.loads(file.read_text()).items():
        found[name] = found.get(values.pop("from", ""), {}) | values
    return found


def _configs() -> dict[str, Config]:
    made = {
        f"{scale}/{stage.name}": recipe.config_of(stage)
        for scale, every in recipe.STAGES.items()
        for stage in every
    }
    made |= {f"{scale}/motion": motion.config_of(plan) for scale, plan in motion.PLANS.items()}
    made |= {
        f"{name}/{part.name}": parts.config_of(scale, part)
        for name, scale in (("lease", parts.LEASE), ("rehearsal", parts.REHEARSAL))
        for part in scale.parts
    }
    ablations = ablate_swaps.stages(500, 64)
    return made | {f"ablation/{stage.name}": recipe.config_of(stage) for stage in ablations}


GOLDEN = _golden()


def test_the_table_has_every_stage():
    assert set(_configs()) == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_stages_are_what_they_were(name):
    values = dict(GOLDEN[name])
    config = get_config(values.pop("name"))
    texts = (
        f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in values.items()
        if value != [] and MOVED.get(key) != ""
    )
    assert _configs()[name] == apply_overrides(config, texts)
