"""CAPP's trainer for the loop of `vasa_jax.training`."""

import jax
import jax.numpy as jnp

from vasa_jax.capp.loss import accuracy, contrastive_loss, inverse_temperature
from vasa_jax.capp.network import build_capp
from vasa_jax.capp.windows import CappBatch, capp_batch_struct
from vasa_jax.config.capp import CappConfig
from vasa_jax.means import Term, uniform
from vasa_jax.training.state import make_optimizer
from vasa_jax.training.supervised_trainer import SupervisedTrainer

STAGE = "capp"


def capp_trainer(config: CappConfig) -> SupervisedTrainer:
    """The trainer under `train_capp`. Its parameters are those of `Capp`.

    Embeddings are computed on each device's own rows, the loss over the rows of all devices.
    """
    network, train = build_capp(config), config.train_capp

    def init(key):
        row = jax.tree.map(lambda s: jnp.zeros((1, *s.shape[1:]), s.dtype), struct)
        return network.init(key, row.rotation, row.waveform)["params"]

    def embed(params, rotation, waveform, negative):
        if train.freeze_audio:
            held = jax.tree.map(jax.lax.stop_gradient, params["encoder"])
            params = params | {"encoder": held}
        pose, audio, _ = network.apply({"params": params}, rotation, waveform)
        if negative is None:
            return pose, audio, None
        return pose, audio, network.apply({"params": params}, negative, method="embed_pose")

    def predict(layout, params, batch):
        found = layout.by_example(embed)(params, batch.rotation, batch.waveform, batch.negative)
        return *found, params["log_scale"]

    def terms(found, batch: CappBatch) -> list[Term]:
        pose, audio, others, log_scale = found
        rows = len(batch.rotation)
        count = float(train.amplitude_negatives)
        loss = contrastive_loss(pose, audio, log_scale, others, count)
        figures: list[Term] = [
            ("contrastive", 1.0, uniform(loss, rows)),
            ("accuracy", 0.0, uniform(accuracy(pose, audio), rows)),
            ("cosine", 0.0, uniform((pose * audio).sum(-1).mean(), rows)),
            ("inverse_temperature", 0.0, uniform(inverse_temperature(log_scale), rows)),
        ]
        return figures

    struct = capp_batch_struct(config)
    optimizer = make_optimizer(train, "^encoder/" if train.freeze_audio else "")
    return SupervisedTrainer(STAGE, config, train, struct, init, predict, terms, optimizer)
