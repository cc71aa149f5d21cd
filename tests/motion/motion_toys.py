"""Small pieces that several motion tests share."""

import dataclasses
import functools
import importlib.util
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.config import get_config
from vasa_jax.extensions.build import init_motion_model
from vasa_jax.means import add_up
from vasa_jax.motion.conditions import CONDITION_NAMES, null_conditions
from vasa_jax.motion.diffusion import Schedule, q_sample, x0_terms


@functools.cache
def debug_params(config, seed=0):
    """Random parameters of usual size, no bias zero; drawn by numpy, since compiling the 60 random
    draws of `init_motion_model` takes longer than any test."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(partial(init_motion_model, config), jax.random.key(0))

    def draw(path, leaf):
        kind = path[-1].key
        size = leaf.shape[0] ** -0.5 if kind == "kernel" else 0.1
        value = size * rng.standard_normal(leaf.shape) + (kind == "scale")
        return jnp.asarray(value, jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def load_torch_twin():
    path = Path(__file__).parents[2] / "benchmarks" / "peers" / "torch_dit.py"
    spec = importlib.util.spec_from_file_location("torch_dit", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def debug_config(**motion):
    config = get_config("debug")
    return dataclasses.replace(config, motion=dataclasses.replace(config.motion, **motion))


def random_conditions(config, batch=2, seed=0, present=True):
    rng = np.random.default_rng(seed)
    conditions = null_conditions(config, batch)
    values = {
        name: jnp.asarray(rng.standard_normal(spec.shape), jnp.float32)
        for name, spec in config.fake_window(batch).items()
        if name != "motion"
    }
    flags = {f"has_{name}": jnp.full(batch, present) for name in CONDITION_NAMES}
    valid = jnp.full((batch, config.motion.window), present)
    return conditions._replace(**values, **flags, audio_valid=valid)


def mixed_conditions(config, batch=4, seed=0):
    """Random values, random flags: every condition is present for some and absent for others."""
    conditions = random_conditions(config, batch, seed)
    rng = np.random.default_rng(seed + 1)
    flags = {}
    for name in CONDITION_NAMES:
        flag = np.arange(batch) % 2 == 0
        rng.shuffle(flag)
        flags[f"has_{name}"] = jnp.asarray(flag)
    valid = jnp.asarray(rng.random((batch, config.motion.window)) < 0.7)
    return conditions._replace(**flags, audio_valid=valid)


def noisy(config, batch=2, seed=3):
    rng = np.random.default_rng(seed)
    shape = (batch, config.motion.window, config.face.motion_dim)
    t = rng.integers(0, config.diffusion.timesteps, batch)
    return jnp.asarray(rng.standard_normal(shape), jnp.float32), jnp.asarray(t, jnp.int32)


def leaf_names(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def training_loss(denoise, config, key, x0, valid):
    """E || x0 - H(x_t, t, C) ||^2 with t uniform over all steps (VASA-1, 3.2), for a network that
    is called as `denoise(x_t, t)`."""
    key_t, key_noise = jax.random.split(key)
    t = jax.random.randint(key_t, (x0.shape[0],), 0, config.diffusion.timesteps)
    noise = jax.random.normal(key_noise, x0.shape, jnp.float32)
    schedule = Schedule(config.diffusion.schedule, config.diffusion.timesteps)
    x_t = q_sample(schedule, x0, t, noise)
    return add_up(x0_terms(denoise(x_t, t), x0, valid, config.train_motion))[0]
