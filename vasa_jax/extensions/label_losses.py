"""Losses that tie z_dyn to gaze and ARKit labels, through linear heads that are not exported.

VASA-1 finds z_dyn by self-supervision alone. Data of this project come with such labels; a z_dyn
from which they can be read linearly holds gaze and expression.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config import Config, FaceLossConfig
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.latent_losses import arkit_loss, gaze_loss
from vasa_jax.face.losses import average, need
from vasa_jax.means import Term
from vasa_jax.typing import ARKIT, Array, Float, Motion

__all__ = ["HEADS", "ArkitHead", "GazeHead", "label_heads", "label_terms"]

Labels = Float[Array, "b n"]
Readings = Mapping[str, tuple[Float[Array, "b n"], Float[Array, "b n"]]]
"""By head: what it reads off the source's and the driver's motion."""


class GazeHead(nn.Module):
    """z_dyn and the head's rotation -> gaze (yaw, pitch), radians."""

    @nn.compact
    def __call__(self, motion: Motion) -> Float[Array, "b 2"]:
        x = jnp.concatenate([motion.dyn, jax.lax.stop_gradient(motion.pose.rotation)], axis=-1)
        return nn.Dense(2)(x.astype(jnp.float32))


class ArkitHead(nn.Module):
    """z_dyn -> the 52 ARKit coefficients."""

    @nn.compact
    def __call__(self, motion: Motion) -> Float[Array, "b 52"]:
        return nn.Dense(len(ARKIT))(motion.dyn.astype(jnp.float32))


HEADS = {"gaze": GazeHead, "arkit": ArkitHead}
"""By the section of the losses that trains them."""


def label_heads(config: Config) -> dict[str, nn.Module]:
    """The heads whose loss has a weight."""
    return {n: head() for n, head in HEADS.items() if getattr(config.face_losses, n).weight}


def label_terms(config: FaceLossConfig, batch: FaceBatch, readings: Readings) -> list[Term]:
    """The losses "gaze" and "arkit", where they have a weight and the data has labels."""
    terms: list[Term] = []
    if config.gaze.weight and batch.gaze_present is not None:
        labels = _both("gaze", batch.source.gaze, batch.driver.gaze)
        pairs = zip(readings["gaze"], labels, strict=True)
        values = [gaze_loss(gaze, label, batch.gaze_present) for gaze, label in pairs]
        terms.append(("gaze", config.gaze.weight, average(values)))
    if config.arkit.weight and batch.driver.arkit is not None:
        labels = _both("arkit", batch.source.arkit, batch.driver.arkit)
        pairs = zip(readings["arkit"], labels, strict=True)
        values = [arkit_loss(config.arkit, arkit, label) for arkit, label in pairs]
        terms.append(("arkit", config.arkit.weight, average(values)))
    return terms


def _both(key: str, source: Labels | None, driver: Labels | None) -> tuple[Labels, Labels]:
    """The labels of source and driver. Raises UserError where one of them is missing."""
    return (
        need(source, key, f"source_{key} in the batch"),
        need(driver, key, f"driver_{key} in the batch"),
    )
