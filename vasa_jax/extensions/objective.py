"""Stage 1's whole objective: the paper's losses and those of extensions."""

import jax
import jax.numpy as jnp

from vasa_jax.config import FaceLossConfig
from vasa_jax.extensions.label_losses import Readings, label_terms
from vasa_jax.extensions.transfer_losses import has_transfers, transfer_motions, transfer_terms
from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.forward import FaceFunctions, FaceNetworks, FaceOutputs, forward
from vasa_jax.face.losses import face_terms
from vasa_jax.means import Term
from vasa_jax.typing import Array, Int, Motion

__all__ = ["objective_terms", "run_face_model"]


def run_face_model(
    config: FaceLossConfig,
    face: FaceFunctions,
    batch: FaceBatch,
    motions: tuple[Motion, Motion],
    scan: bool = False,
) -> FaceOutputs:
    """`face.forward.forward`, with what the losses of extensions need besides.

    motions: of source and driver. scan: as in `face.forward.decode_each`.
    """
    more = transfer_motions(*motions) if has_transfers(config, batch) else None
    return forward(config, face, batch, motions, scan, more)


def objective_terms(
    config: FaceLossConfig,
    batch: FaceBatch,
    outputs: FaceOutputs,
    readings: Readings,
    networks: FaceNetworks,
    step: Int[Array, ""] | int | None = None,
) -> list[Term]:
    """The generator's losses, float32, with their weights. Their counts depend on the batch alone.

    readings: of the heads of labels. step: as in `face.losses.face_terms`.
    Raises UserError when a loss with a weight lacks a network or something in the batch.
    """
    batch, outputs, readings = jax.tree.map(_float32, (batch, outputs, readings))
    return [
        *face_terms(config, batch, outputs, networks, step),
        *transfer_terms(config, batch, outputs, networks),
        *label_terms(config, batch, readings),
    ]


def _float32(x: Array) -> Array:
    return x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x
