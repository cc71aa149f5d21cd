"""The trainer of the audio-lip sync network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vasa_jax.config.sync import SyncConfig
from vasa_jax.means import uniform
from vasa_jax.sync.contrast import contrastive_losses
from vasa_jax.sync.model import LIP_FEATURES, SyncNetwork, sound_features
from vasa_jax.training.supervised_trainer import SupervisedTrainer
from vasa_jax.typing import Array, Float, Int

STAGE = "sync"
STRETCHES = 4
"""Stretches of an example that are compared."""


class SyncBatch(NamedTuple):
    """Lips and the sound around them, w = `train_sync.window` frames and 2 * `shift` more."""

    lips: Float[Array, "b w f"]
    sounds: Float[Array, "b u g"]
    # Stretches of the lips, frames.
    start: Int[Array, "b k"]
    length: Int[Array, "b k"]


def sync_struct(config: SyncConfig) -> SyncBatch:
    """Shapes of a global batch."""
    train = config.train_sync
    b, w, u = train.batch, train.window, train.window + 2 * train.shift

    def array(*shape: int, dtype: Any = jnp.float32) -> Any:
        return jax.ShapeDtypeStruct((b, *shape), dtype)

    return SyncBatch(
        array(w, LIP_FEATURES),
        array(u, sound_features(config.sync)),
        array(STRETCHES, dtype=jnp.int32),
        array(STRETCHES, dtype=jnp.int32),
    )


def sync_trainer(
    config: SyncConfig, optimizer: optax.GradientTransformation | None = None
) -> SupervisedTrainer:
    """The trainer under `train_sync`; its parameters are {"sync": …}."""
    network, struct = SyncNetwork(config.sync), sync_struct(config)

    def init(key):
        lips, sounds = (jnp.zeros((1, *s.shape[1:])) for s in (struct.lips, struct.sounds))
        return {"sync": network.init(key, lips, sounds)["params"]}

    def encode(params, lips, sounds):
        return network.apply({"params": params["sync"]}, lips, sounds)

    def predict(layout, params, batch):
        return layout.by_example(encode)(params, batch.lips, batch.sounds)

    def terms(found, batch):
        rows = len(batch.lips)
        when, who, right = contrastive_losses(*found, batch.start, batch.length)
        return [
            ("when", 1.0, uniform(when.mean(), rows)),
            ("who", 1.0, uniform(who.mean(), rows)),
            ("within_1", 0.0, uniform(right.mean(), rows)),
        ]

    return SupervisedTrainer(
        STAGE, config, config.train_sync, struct, init, predict, terms, optimizer
    )
