"""Forward pass of stage 1: encodes a batch and decodes the images that the losses compare.

The trainer calls `forward` inside its loss function, then `vasa_jax.face.losses.face_terms`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config.losses import FaceLossConfig
from vasa_jax.face.batch import FaceBatch, Pictures
from vasa_jax.face.discriminator import DiscriminatorFunction
from vasa_jax.face.image_losses import FeatureNet, Features
from vasa_jax.face.model import Decoded
from vasa_jax.perception.identity import IdentityNetwork
from vasa_jax.typing import Array, Float, Image, Int, Motion, Source

__all__ = [
    "FaceFunctions",
    "FaceNetworks",
    "FaceOutputs",
    "bind",
    "decode_each",
    "different_identity_mask",
    "forward",
    "needs_partners",
    "partner",
]


class FaceFunctions(NamedTuple):
    """The face model as functions of arrays, its parameters bound."""

    encode_motion: Callable[[Pictures], Motion]
    encode_source: Callable[[Image, Motion], Source]
    decode_parts: Callable[[Source, Motion], Decoded]

    def decode(self, source: Source, motion: Motion) -> Image:
        """The image alone."""
        return self.decode_parts(source, motion).image


class FaceNetworks(NamedTuple):
    """Frozen networks and the discriminator; None where each loss that uses it has weight 0."""

    vgg: FeatureNet | None = None
    face: Callable[[Image, Float[Array, "b 5 2"]], Features] | None = None
    """Feature maps of aligned faces for the loss `face_features`; None: those of `identity`."""
    identity: IdentityNetwork | None = None
    discriminator: DiscriminatorFunction | None = None
    discriminator_inputs: Callable[..., tuple[Image, Image]] | None = None
    """(config, batch, driven) -> real and generated images; None: `losses.discriminator_inputs`."""


class FaceOutputs(NamedTuple):
    """Encoded motion and decoded images of one batch; None where no loss needs them.

    D is the decoder; s the sample's source, d its driver, o the driver of its `partner`.
    """

    driven: Image
    """D(V_s, id_s, pose_d, dyn_d), compared with the driver."""
    source_motion: Motion
    driver_motion: Motion
    reconstructed: Image | None = None
    """D(V_s, id_s, pose_s, dyn_s), compared with the source."""
    cross_driven: Image | None = None
    """D(V_s, id_s, pose_o, dyn_o)."""
    consistency_a: Image | None = None
    """D(V_d, id_d, pose_s, dyn_d)."""
    consistency_b: Image | None = None
    """D(V_s, id_s, pose_s, dyn_d)."""
    dyn_same: Float[Array, "b dyn"] | None = None
    """z_dyn of `driven`."""
    dyn_cross: Float[Array, "b dyn"] | None = None
    """z_dyn of `cross_driven`."""
    decoded: Mapping[str, Decoded] | None = None
    """All that was decoded from V_s, by name, for the losses of extensions."""


def bind(model: nn.Module, variables: dict) -> FaceFunctions:
    """The functions of a module with the methods of FaceModel, its variables bound."""

    def method(name: str) -> Any:  # `apply` is declared to return a pair as well
        return partial(model.apply, variables, method=name)

    return FaceFunctions(*(method(name) for name in FaceFunctions._fields))


def forward(
    config: FaceLossConfig,
    face: FaceFunctions,
    batch: FaceBatch,
    motions: tuple[Motion, Motion] | None = None,
    scan: bool = False,
    more: Mapping[str, Motion] | None = None,
) -> FaceOutputs:
    """Run the face model for the losses whose weight is not 0; at most six decodes.

    motions: of source and driver, if known; else they are encoded. scan: as in `decode_each`.
    more: further motions to decode from V_s, by name.
    """
    if motions is None:
        motions = face.encode_motion(batch.source.view), face.encode_motion(batch.driver.view)
    motion_s, motion_d = motions
    source = face.encode_source(batch.source.image, motion_s)
    wanted = {"driven": motion_d}
    if config.self_drive.weight:
        wanted["reconstructed"] = motion_s
    if needs_partners(config):
        wanted["cross_driven"] = jax.tree.map(partner, motion_d)
    wanted |= more or {}
    if config.consistency.weight:
        wanted["dyn_only"] = Motion(motion_s.pose, motion_d.dyn)
    decoded = decode_each(face, source, wanted, scan)
    images = {name: one.image for name, one in decoded.items()}
    out = FaceOutputs(
        images["driven"],
        motion_s,
        motion_d,
        reconstructed=images.get("reconstructed"),
        cross_driven=images.get("cross_driven"),
        decoded=decoded,
    )
    if config.contrast.weight:
        out = out._replace(
            dyn_same=face.encode_motion(out.driven).dyn,
            dyn_cross=face.encode_motion(images["cross_driven"]).dyn,
        )
    if config.consistency.weight:
        other = face.encode_source(batch.driver.image, motion_d)
        a = face.decode(other, wanted["dyn_only"])
        out = out._replace(consistency_a=a, consistency_b=images["dyn_only"])
    return out


def decode_each(
    face: FaceFunctions, source: Source, motions: Mapping[str, Motion], scan: bool
) -> dict[str, Decoded]:
    """One source decoded with several motions, by name.

    scan: by a loop, so that the decoder and its gradient are compiled once; not for CPUs, where
    XLA's convolutions inside loops use one core.
    """
    if not scan or len(motions) == 1:
        return {name: face.decode_parts(source, motion) for name, motion in motions.items()}
    together = jax.tree.map(lambda *x: jnp.stack(x), *motions.values())
    _, decoded = jax.lax.scan(lambda _, m: (None, face.decode_parts(source, m)), None, together)
    return {name: jax.tree.map(lambda x, k=k: x[k], decoded) for k, name in enumerate(motions)}


def partner(x: Array, back: bool = False) -> Array:
    """Row i becomes row i - b // 2 (modulo b), or row i + b // 2 with `back`.

    For even b both are the same. A microbatch of every n-th sample holds both rows of each pair, so
    gradient accumulation changes no pair.
    """
    half = len(x) // 2
    return jnp.roll(x, -half if back else half, 0)


def different_identity_mask(identity: Int[Array, " b"]) -> Float[Array, " b"]:
    """1 where a sample's `partner` shows another person."""
    return (identity != partner(identity)).astype(jnp.float32)


def needs_partners(config: FaceLossConfig) -> bool:
    """Whether a loss compares samples of two people."""
    return bool(config.contrast.weight or config.cross_identity.weight)
