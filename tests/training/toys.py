"""A small task for the loop: two convolutions and a dense pair learn the mean colour of images."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax.config import FaceTrainConfig, MeshConfig, get_config
from vasa_jax.training.state import (
    TrainState,
    accumulate,
    advanced,
    make_optimizer,
    remat,
)


class ToyBatch(NamedTuple):
    image: jax.Array
    target: jax.Array


def toy_init(key, optimizer):
    keys = jax.random.split(key, 4)
    normal = jax.random.normal
    params = {
        "block": {
            "conv1": {"kernel": 0.2 * normal(keys[0], (3, 3, 3, 16)), "bias": jnp.zeros(16)},
            "conv2": {"kernel": 0.1 * normal(keys[1], (3, 3, 16, 8)), "bias": jnp.zeros(8)},
        },
        "mlp": {
            "up": {"kernel": 0.3 * normal(keys[2], (8, 32)), "bias": jnp.zeros(32)},
            "down": {"kernel": 0.2 * normal(keys[3], (32, 3)), "bias": jnp.zeros(3)},
        },
    }
    ema = jax.tree.map(jnp.copy, params)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(zero, params, optimizer.init(params), ema, {}, {}, {"c": jnp.ones(2)})


def conv(x, p):
    y = jax.lax.conv_general_dilated(
        x, p["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + p["bias"]


def toy_loss(params, batch):
    x = jnp.tanh(conv(batch.image, params["block"]["conv1"]))
    x = jnp.tanh(conv(x, params["block"]["conv2"])).mean(axis=(1, 2))
    x = jnp.tanh(x @ params["mlp"]["up"]["kernel"] + params["mlp"]["up"]["bias"])
    x = x @ params["mlp"]["down"]["kernel"] + params["mlp"]["down"]["bias"]
    error = jnp.mean((x - batch.target) ** 2)
    return error, {"loss": error, "error": error}


@dataclass(frozen=True)
class ToyTrainer:
    """Of a network with the losses `toy_loss`."""

    name: str
    config: Any
    train: FaceTrainConfig
    init: Callable
    step: Callable
    batch: ToyBatch
    samples: Callable
    frozen: dict = field(default_factory=dict)


def toy_task(train=None, mesh=None, optimizer=None) -> ToyTrainer:
    train = replace(FaceTrainConfig(batch=16, learning_rate=1e-2, log_every=1), **(train or {}))
    mesh = MeshConfig(**({"fsdp_floor": 64} | (mesh or {})))
    config = replace(get_config("debug"), train_face=train, mesh=mesh)
    optimizer = optimizer or make_optimizer(train)

    def step(layout, state, frozen, batch, key):
        del frozen
        batch = layout.spread(batch)
        # Noise by the step's key: a resumed run must draw what the straight run drew.
        image = batch.image + 0.01 * jax.random.normal(key, batch.image.shape)
        params = layout.gather(state.params)

        def micro(part):
            loss = remat(toy_loss, train.remat)
            (_, parts), grads = jax.value_and_grad(loss, has_aux=True)(params, part)
            return layout.scatter(grads), parts

        batch = batch._replace(image=image)
        found = accumulate(micro, batch, train.accumulate, layout)
        grads, metrics = jax.tree.map(lambda x: x / train.accumulate, found)
        state, norms = advanced(optimizer, train, state, grads)
        return state, metrics | norms

    return ToyTrainer(
        name="face",
        config=config,
        train=train,
        init=lambda key, frozen: toy_init(key, optimizer),
        step=step,
        batch=ToyBatch(
            jax.ShapeDtypeStruct((train.batch, 8, 8, 3), jnp.float32),
            jax.ShapeDtypeStruct((train.batch, 3), jnp.float32),
        ),
        samples=lambda layout, ema, frozen, batch: {"source": batch.image},
    )
