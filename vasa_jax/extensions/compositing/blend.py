"""The blend of a composited image."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vasa_jax.extensions.compositing.resample import enlarge
from vasa_jax.face.sampling import identity_grid, sample_volume
from vasa_jax.typing import Array, Float, Image

__all__ = ["CompositeOutput", "DecoderLayers", "blend", "look_up"]

INITIAL_LOGITS = (2.0, 0.0, 0.0, -2.0)
"""Of the blend: the moved portrait shows from the first step on; a background that joins a trained
model does not."""
RESIDUAL_LIMIT = 0.15
"""Of `flow_residual`, half images: about the width of a mouth."""
INITIAL_RIGIDITY = 4.0
"""Logit: nearly all of the head's displacement."""


class DecoderLayers(NamedTuple):
    """What `CompositeDecoder` draws, at the size of the networks."""

    image: Image
    """In [0, 1]."""
    blend_logits: Float[Array, "b h w n"]
    """Of moved, still and decoded pixels and, with n = 4, of the background."""
    depth_logits: Float[Array, "b i j d"]
    """Which slice of the volume is visible, for each of its columns."""
    flow_residual: Float[Array, "b h w 2"]
    """Added to where a moved pixel comes from, before `RESIDUAL_LIMIT` tanh: lids and lips move by
    less than a voxel."""
    rigidity: Float[Array, "b h w 1"]
    """Logit of the share of the head's displacement that a pixel follows: a neck follows a part of
    it, shoulders hardly any (linear blend skinning)."""


class CompositeOutput(NamedTuple):
    """What an image was made of, for the losses; fields that a model lacks are None."""

    decoded: Float[Array, "b small small 3"]
    """By the decoder, at the size of the networks."""
    layers: Float[Array, "b h w n 3"] | None = None
    """The moved, the still, the decoded image and the background."""
    blend_logits: Float[Array, "b h w n"] | None = None
    flow: Float[Array, "b h w 2"] | None = None
    """Where in the portrait moved pixels come from: (x, y) in [-1, 1], outermost pixel centres."""
    foreground_logits: Float[Array, "p i j 1"] | None = None

    @property
    def has_background(self) -> bool:
        return self.blend_logits is not None and self.blend_logits.shape[-1] == len(INITIAL_LOGITS)


def blend(
    layers: DecoderLayers,
    source_coords: Float[Array, "b d i j 3"],
    portrait: Float[Array, "p h w 3"],
    background: Float[Array, "p h w 3"] | None = None,
) -> tuple[Image, CompositeOutput]:
    """The image, float32 in [0, 1], as large as the portrait, and what it was made of.

    source_coords: where in the portrait's posed volume each voxel of the driven volume comes from.
    portrait: batch b or 1, of the layers' size or larger: coordinates and masks are smooth, so a
    portrait of more pixels gives a sharper image for the price of a resample. background: given if
    and only if the layers have a logit for it.
    """
    size = portrait.shape[1]
    decoded, logits, residual, rigidity = (
        x if x.shape[1] == size else enlarge(x.astype(jnp.float32), size)
        for x in (layers.image, layers.blend_logits, layers.flow_residual, layers.rigidity)
    )
    visible = jax.nn.softmax(layers.depth_logits.astype(jnp.float32), -1)
    flow = jnp.einsum("bijd,bdijk->bijk", visible, source_coords[..., :2], precision="highest")
    own = identity_grid(1, size, size)[0, ..., :2]
    followed = jax.nn.sigmoid(rigidity.astype(jnp.float32) + INITIAL_RIGIDITY)
    flow = own + followed * (enlarge(flow, size) - own)
    flow = flow + RESIDUAL_LIMIT * jnp.tanh(residual.astype(jnp.float32))
    moved = look_up(portrait, flow)
    logits = logits.astype(jnp.float32) + jnp.array(INITIAL_LOGITS[: logits.shape[-1]])
    parts = [moved, portrait, decoded]
    parts += [] if background is None else [background]
    masks = jnp.split(jax.nn.softmax(logits, -1), len(parts), -1)
    shown = [mask * part for mask, part in zip(masks, parts, strict=True)]
    image = sum(shown, jnp.zeros(()))
    stacked = jnp.stack([jnp.broadcast_to(part, moved.shape) for part in parts], -2)
    return image, CompositeOutput(layers.image, stacked, logits, flow)


def look_up(
    image: Float[Array, "p h w k"], flow: Float[Array, "b i j 2"]
) -> Float[Array, "b i j k"]:
    """The image at the positions of a flow, bilinear; outside it, its border."""
    flow = jnp.concatenate([flow, jnp.zeros_like(flow[..., :1])], -1)
    return sample_volume(image[:, None], flow[:, None], "border")[:, 0]
