"""What stage 1's losses see: the face model as functions, and what it draws from a batch.

The trainer calls `forward` inside its loss function, then `vasa_jax.face.losses.face_terms`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.face.batch import FaceBatch
from vasa_jax.face.compose import Composed
from vasa_jax.face.discriminator import Judge
from vasa_jax.face.image_losses import FeatureNet, Features
from vasa_jax.loss_config import FaceLossConfig
from vasa_jax.perception.identity import IdentityNetwork
from vasa_jax.typing import Array, Float, Image, Int, Motion, Source

__all__ = [
    "FaceFunctions",
    "FaceNetworks",
    "FaceOutputs",
    "bind",
    "decode_each",
    "forward",
    "needs_partners",
    "partner",
    "strangers",
]


class FaceFunctions(NamedTuple):
    """The face model as functions of arrays, its parameters bound."""

    encode_motion: Callable[[Image], Motion]
    encode_source: Callable[[Image, Motion], Source]
    decode_parts: Callable[[Source, Motion], Composed]

    def decode(self, source: Source, motion: Motion) -> Image:
        """The picture alone."""
        return self.decode_parts(source, motion).picture


class FaceNetworks(NamedTuple):
    """Frozen networks and the discriminator; None where all losses that use it have weight 0.

    face: feature maps of aligned faces for the loss `face_features`; None: those of `identity`.
    """

    vgg: FeatureNet | None = None
    face: Callable[[Image, Float[Array, "b 5 2"]], Features] | None = None
    identity: IdentityNetwork | None = None
    judge: Judge | None = None


class FaceOutputs(NamedTuple):
    """What the model drew and encoded for one batch; None where no loss asked for it.

    same: D(V_s, id_s, pose_d, dyn_d), to equal the driver. itself: D(V_s, id_s, pose_s, dyn_s), to
    equal the source. cross: D(V_s, id_s, pose_o, dyn_o), o the driver of the sample's `partner`.
    consist_a = D(V_j, id_j, pose_i, dyn_j) and consist_b = D(V_i, id_i, pose_i, dyn_j), with i the
    source and j the driver. dyn_same and dyn_cross: dynamics codes of the drawn images.
    pose_only = D(V_s, id_s, pose_d, dyn_s) and dyn_only = D(V_s, id_s, pose_s, dyn_d).
    parts: what same, pose_only and dyn_only are made of.
    source_gaze and driver_gaze: for a gaze head of the trainer's, radians; source_arkit and
    driver_arkit: for an ARKit head of the trainer's.
    """

    same: Image
    source_motion: Motion
    driver_motion: Motion
    itself: Image | None = None
    cross: Image | None = None
    consist_a: Image | None = None
    consist_b: Image | None = None
    dyn_same: Float[Array, "b dyn"] | None = None
    dyn_cross: Float[Array, "b dyn"] | None = None
    pose_only: Image | None = None
    dyn_only: Image | None = None
    parts: tuple[Composed, Composed, Composed] | None = None
    source_gaze: Float[Array, "b 2"] | None = None
    driver_gaze: Float[Array, "b 2"] | None = None
    source_arkit: Float[Array, "b 52"] | None = None
    driver_arkit: Float[Array, "b 52"] | None = None


def bind(model: nn.Module, variables: dict) -> FaceFunctions:
    """The functions of a module that has the three methods, as FaceModel does."""
    return FaceFunctions(
        *(partial(model.apply, variables, method=name) for name in FaceFunctions._fields)
    )


def forward(
    config: FaceLossConfig,
    face: FaceFunctions,
    batch: FaceBatch,
    motions: tuple[Motion, Motion] | None = None,
    scan: bool = False,
) -> FaceOutputs:
    """Run the face model for the losses whose weight is not 0; at most six decodes.

    motions: of source and driver where they are known; else they are encoded. scan: as in
    `decode_each`.
    """
    if motions is None:
        motions = tuple(face.encode_motion(view) for view in batch.views)
    motion_s, motion_d = motions
    source = face.encode_source(batch.source, motion_s)
    exact = config.exact
    swapped = bool(exact.weight) and batch.pose_only is not None
    wanted = {"same": motion_d}
    if config.self_drive.weight:
        wanted["itself"] = motion_s
    if needs_partners(config):
        wanted["cross"] = jax.tree.map(partner, motion_d)
    if swapped:
        wanted["pose_only"] = Motion(motion_d.pose, motion_s.dyn)
    if swapped or config.consistency.weight:
        wanted["dyn_only"] = Motion(motion_s.pose, motion_d.dyn)
    drawn = decode_each(face, source, wanted, scan)
    pictures = {name: parts.picture for name, parts in drawn.items()}
    out = FaceOutputs(pictures["same"], motion_s, motion_d)
    out = out._replace(itself=pictures.get("itself"), cross=pictures.get("cross"))
    if config.contrast.weight:
        out = out._replace(
            dyn_same=face.encode_motion(out.same).dyn, dyn_cross=face.encode_motion(out.cross).dyn
        )
    if swapped:
        names = ("drawn", "choice", "flow", "shares", "person", "mouth_place")
        layered = any(getattr(exact, name) for name in names)
        parts = (drawn["same"], drawn["pose_only"], drawn["dyn_only"]) if layered else None
        out = out._replace(
            pose_only=pictures["pose_only"], dyn_only=pictures["dyn_only"], parts=parts
        )
    if config.consistency.weight:
        other = face.encode_source(batch.driver, motion_d)
        a = face.decode(other, wanted["dyn_only"])
        out = out._replace(consist_a=a, consist_b=pictures["dyn_only"])
    return out


def decode_each(
    face: FaceFunctions, source: Source, motions: Mapping[str, Motion], scan: bool
) -> dict[str, Composed]:
    """One person in several motions, by name.

    scan: in a loop, so that the decoder and its gradient are compiled once. Not on a CPU, whose
    convolutions inside of loops use one core.
    """
    if not scan or len(motions) == 1:
        return {name: face.decode_parts(source, motion) for name, motion in motions.items()}
    together = jax.tree.map(lambda *x: jnp.stack(x), *motions.values())
    _, drawn = jax.lax.scan(lambda _, m: (None, face.decode_parts(source, m)), None, together)
    return {name: jax.tree.map(lambda x, k=k: x[k], drawn) for k, name in enumerate(motions)}


def partner(x: Array, back: bool = False) -> Array:
    """Each sample gets what belongs to the sample half a batch before it, or with `back` after it.

    In a batch of even size that is one and the same, and a microbatch of every n-th sample holds
    both of each pair: so accumulation changes no pair.
    """
    half = len(x) // 2
    return jnp.roll(x, -half if back else half, 0)


def strangers(identity: Int[Array, " b"]) -> Float[Array, " b"]:
    """1 where a sample's `partner` shows another person."""
    return (identity != partner(identity)).astype(jnp.float32)


def needs_partners(config: FaceLossConfig) -> bool:
    """Whether a loss compares samples of two people."""
    return bool(config.contrast.weight or config.cross_identity.weight)
