"""A picture composed of the portrait's own pixels, moved or left in place, and of drawn ones.

Not from the paper, whose decoder draws every pixel. Where data and arithmetic are scarce, most of a
talking face can be had from the portrait itself: the model knows by its own warps where each point
of the output comes from (warping a source along a learned flow and masking what it cannot show is
Siarohin et al. 2019, 2003.00196). What opens or comes into sight is drawn.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.face.sampling import from_front, identity_grid, sample_volume
from vasa_jax.typing import Array, Float, Image

__all__ = ["Composed", "Layers", "Surface", "compose", "enlarge", "hint", "shrink"]

AT_START = (2.0, 0.0, 0.0, -2.0)
"""Logits of the shares at the start: the moved portrait shows from the first step on; a plate that
joins a trained model does not."""


SHIFT_LIMIT = 0.15
"""Half pictures: nearly the width of a mouth."""
FOLLOW_AT_START = 4.0
"""Logit: nearly all of the head's way."""


SURFACE_SIZE = 32
_THICK, _NEARER = 0.2, 1.5


class Surface(nn.Module):
    """How likely each voxel of a driven volume is what one sees: the nearer to a learned front of
    the canonical head, and of two the nearer to the camera.

    The front is one map of canonical depth, x and y for all people, flat at the start; the
    decoder's `depth` tells what is different for this one.
    """

    @nn.compact
    def __call__(self, grid: Float[Array, "b d i j 3"]) -> Float[Array, "b i j d"]:
        front = self.param("front", nn.initializers.zeros, (SURFACE_SIZE, SURFACE_SIZE))
        flat = grid.at[..., 2].set(0.0)
        z = sample_volume(front[None, None, :, :, None], flat, "border")[..., 0]
        nearer = jnp.linspace(1.0, -1.0, grid.shape[1])[:, None, None]
        score = -0.5 * ((grid[..., 2] - z) / _THICK) ** 2 + _NEARER * nearer
        return jnp.moveaxis(score, 1, -1)


class Layers(NamedTuple):
    """What the decoder draws and how it is put together, at the size that the networks draw.

    drawn: (b, h, w, 3) in [0, 1]. shares: (b, h, w, 3 or 4) logits of moved, still and drawn
    pixels, and of those of a plate.
    depth: (b, i, j, d) logits, which slice of the volume is seen at each of its columns. shift:
    (b, h, w, 2), added to where a moved pixel comes from, before `SHIFT_LIMIT` tanh: lids and lips
    move by less than a voxel is wide. follow: (b, h, w, 1), logits of how much of the head's way a
    pixel goes along: a neck goes part of it, shoulders hardly any (linear blend skinning).
    """

    drawn: Image
    shares: Float[Array, "b h w n"]
    depth: Float[Array, "b i j d"]
    shift: Float[Array, "b h w 2"]
    follow: Float[Array, "b h w 1"]


class Composed(NamedTuple):
    """A picture, float32 in [0, 1], and what the losses ask about it.

    drawn: by the decoder, at the size that the networks draw. layers: (b, h, w, n, 3), the moved,
    the still and the drawn picture, and the plate if there is one (next to last axis), of which
    `shares` (logits) make the picture; None for a decoder that draws all of it. flow: where in the
    portrait moved pixels come from, (x, y) in half pictures from the middle; outermost pixel
    centres lie at -1 and 1.
    person, mouth_seen: as in `Source`.
    """

    picture: Image
    drawn: Float[Array, "b small small 3"]
    layers: Float[Array, "b h w n 3"] | None = None
    shares: Float[Array, "b h w n"] | None = None
    flow: Float[Array, "b h w 2"] | None = None
    person: Float[Array, "p i j 1"] | None = None
    mouth_seen: Float[Array, "p 2"] | None = None

    @property
    def has_plate(self) -> bool:
        return self.shares is not None and self.shares.shape[-1] == len(AT_START)


def compose(
    layers: Layers,
    places: Float[Array, "b d i j 3"],
    portrait: Float[Array, "p h w 3"],
    plate: Float[Array, "p h w 3"] | None = None,
    inside: Float[Array, "b h w 4"] | None = None,
) -> Composed:
    """The picture, as large as the portrait.

    plate: given if and only if the layers have a share for it. inside: of a mouth, with its opacity
    (`vasa_jax.face.mouth`), over what the decoder draws.
    places: where in the portrait's posed volume each voxel of the driven volume comes from.
    portrait: batch b or 1, of the layers' size or larger: the places of moved pixels and the shares
    are smooth, so a portrait of more pixels gives a sharper picture for a resample's price.
    """
    size = portrait.shape[1]
    drawn, shares, shift, follow = (
        x if x.shape[1] == size else enlarge(x.astype(jnp.float32), size)
        for x in (layers.drawn, layers.shares, layers.shift, layers.follow)
    )
    if inside is not None:
        drawn = drawn + inside[..., 3:] * (inside[..., :3] - drawn)
    seen = jax.nn.softmax(layers.depth.astype(jnp.float32), -1)
    flow = jnp.einsum("bijd,bdijk->bijk", seen, places[..., :2], precision="highest")
    own = identity_grid(1, size, size)[0, ..., :2]
    way = jax.nn.sigmoid(follow.astype(jnp.float32) + FOLLOW_AT_START)
    flow = own + way * (enlarge(flow, size) - own)
    flow = flow + SHIFT_LIMIT * jnp.tanh(shift.astype(jnp.float32))
    moved = _look_up(portrait, flow)
    logits = shares.astype(jnp.float32) + jnp.array(AT_START[: shares.shape[-1]])
    parts = [moved, portrait, drawn] if plate is None else [moved, portrait, drawn, plate]
    each = jnp.split(jax.nn.softmax(logits, -1), len(parts), -1)
    picture = sum(share * part for share, part in zip(each, parts, strict=True))
    parts = jnp.stack([jnp.broadcast_to(part, moved.shape) for part in parts], -2)
    return Composed(picture, layers.drawn, parts, logits, flow)


def hint(
    context: Float[Array, "p i j k"],
    places: Float[Array, "b d i j 3"],
    seen: Float[Array, "b i j d"],
) -> Float[Array, "b i j hint"]:
    """What the decoder is told about the portrait: its context in place and moved along, and how
    far each voxel was moved. seen: logits of depth by `Surface` alone."""
    _, d, i, j, _ = places.shape
    share = jax.nn.softmax(seen.astype(jnp.float32), -1)
    flow = jnp.einsum("bijd,bdijk->bijk", share, places[..., :2], precision="highest")
    moved = _look_up(context, flow)
    far = from_front(places - identity_grid(d, i, j))
    still = jnp.broadcast_to(context, moved.shape)
    return jnp.concatenate([still, moved, far.astype(still.dtype)], -1)


def _look_up(picture: Float[Array, "p h w k"], flow: Float[Array, "b i j 2"]):
    flow = jnp.concatenate([flow, jnp.zeros_like(flow[..., :1])], -1)
    return sample_volume(picture[:, None], flow[:, None], "border")[:, 0]


def enlarge(x: Float[Array, "b i j k"], size: int) -> Float[Array, "b size size k"]:
    """Linear interpolation to size x size that keeps the outermost values where they are.

    Fields of positions live on such grids (`identity_grid`): of a still one it makes a still one.
    """
    rows, columns = (jnp.asarray(_weights(n, size)) for n in x.shape[1:3])
    return jnp.einsum("si,bijk,tj->bstk", rows, x, columns, precision="highest")


def shrink(x: Float[Array, "b i i k"], size: int) -> Float[Array, "b size size k"]:
    """Mean over the area of each new pixel, whose centres lie where `enlarge` takes them from."""
    if x.shape[1] == size:
        return x
    many = jnp.asarray(_areas(x.shape[1], size))
    return jnp.einsum("si,bijk,tj->bstk", many, x, many, precision="highest")


def _areas(many: int, few: int) -> Float[np.ndarray, "f m"]:
    place, half = np.linspace(0, many - 1, few)[:, None], (many - 1) / (few - 1) / 2
    first, pixel = np.maximum(place - half, -0.5), np.arange(many)
    last = np.minimum(place + half, many - 0.5)
    part = np.clip(np.minimum(last, pixel + 0.5) - np.maximum(first, pixel - 0.5), 0, 1)
    return (part / part.sum(1, keepdims=True)).astype(np.float32)


def _weights(few: int, many: int) -> Float[np.ndarray, "m f"]:
    place = np.linspace(0, few - 1, many)[:, None]
    return np.maximum(0, 1 - np.abs(place - np.arange(few))).astype(np.float32)
