"""Losses of a composited image against rendered correspondences: flow, blend, disocclusion.

A renderer knows where each pixel of one image is visible in another. That supervises the flow and
the masks directly; an image's error does so only through the colours next to the present flow.
"""

import jax
import jax.numpy as jnp

from vasa_jax.extensions.compositing.blend import CompositeOutput
from vasa_jax.face.image_losses import region_loss
from vasa_jax.means import Means, weighted
from vasa_jax.typing import Array, Float, Image

__all__ = ["blend_mask_loss", "disocclusion_loss", "flow_loss"]

Truth = Float[Array, "b s s 4"]
STILL = 0.006
"""Image widths: a pixel that moves by less may be left where it is."""
SEEN = 0.1
"""Weight of visible pixels in `disocclusion_loss`, where hidden ones have 1; in eyes and mouth, of
all visible ones together."""
HIDDEN = 0.25
"""Share of the hidden pixels of eyes and mouth in `blend_mask_loss`: by area an opening, a few
pixels of a mouth's thousand, is found late; by halves it takes the lips."""
_LEAST = 1e-4


def flow_loss(
    made: CompositeOutput, truth: Truth, points: Float[Array, "b 5 2"] | None, regions: float
) -> Means:
    """L1, in image widths, between the flow and the true one, over visible pixels of the person; in
    eyes and mouth once more, `regions` times. Unweighted. truth: as `transfer_targets.Flow`."""
    assert made.flow is not None  # `blend` makes it
    size = made.flow.shape[1]
    truth = _fit(truth, size)
    centres = jnp.linspace(-1.0, 1.0, size)
    # Shares of the width have their pixels' centres inside, the model's positions at the ends.
    width = (size - 1) / (2 * size)
    own = jnp.stack(jnp.meshgrid(centres, centres), -1)
    far = _pool(width * (made.flow - own), truth.shape[1])
    error = jnp.abs(far - (truth[..., :2] - _centres(truth.shape[1])))
    cost, weight = 2 * error.mean(-1, keepdims=True), _moving(truth)
    return weighted(cost, weight) + region_loss(cost, points, regions, weight)


def blend_mask_loss(
    made: CompositeOutput, truth: Truth, points: Float[Array, "b 5 2"] | None, regions: float
) -> Means:
    """Cross-entropy of the blend to the layers that can show a pixel: the moved one where the
    portrait shows that place of the person, the still one where it lies there already, else the
    decoded one; with a background layer, that one off the person. Where two can, the sum of their
    masks counts. Eyes and mouth once more, `regions` times, `HIDDEN` of it for hidden pixels.
    Unweighted.
    """
    assert made.blend_logits is not None  # `blend` makes them
    truth = _fit(truth, made.blend_logits.shape[1])
    seen, person = truth[..., 2], truth[..., 3]
    near = jnp.abs(truth[..., :2] - _centres(truth.shape[1])).max(-1) < STILL
    unseen = 1 - seen
    rest = (unseen * person, 1 - person) if made.has_background else (unseen,)
    can = jnp.stack([seen * person, seen * near, *rest], -1)
    share = _pool(jax.nn.softmax(made.blend_logits, -1), truth.shape[1])
    cost = -jnp.log(jnp.maximum((share * can).sum(-1, keepdims=True), _LEAST))
    hidden = rest[0][..., None]
    return (
        weighted(cost, jnp.ones_like(cost))
        + region_loss(cost, points, HIDDEN * regions, hidden)
        + region_loss(cost, points, (1 - HIDDEN) * regions, 1 - hidden)
    )


def disocclusion_loss(
    decoded: Image,
    target: Image,
    truth: Truth,
    points: Float[Array, "b 5 2"] | None,
    regions: float,
    background: bool = False,
) -> Means:
    """L1 of the decoded layer where the portrait does not show a pixel (with a background layer: of
    the person), and `SEEN` of it elsewhere. In eyes and mouth once more, `regions` times.
    Unweighted.
    """
    truth = _fit(truth, decoded.shape[1])
    hidden = 1 - truth[..., 2:3]
    hidden = _spread(hidden * truth[..., 3:] if background else hidden, decoded.shape[1])
    error = jnp.abs(decoded - target).mean(-1, keepdims=True)
    return (
        weighted(error, SEEN + hidden)
        + region_loss(error, points, regions, hidden)
        + region_loss(error, points, SEEN * regions, 1 - hidden)
    )


def _moving(truth: Truth) -> Float[Array, "b s s 1"]:
    return truth[..., 2:3] * truth[..., 3:]


def _centres(size: int) -> Float[Array, "s s 2"]:
    axis = (jnp.arange(size) + 0.5) / size
    return jnp.stack(jnp.meshgrid(axis, axis), -1)


def _fit(truth: Truth, size: int) -> Float[Array, "b f f 4"]:
    """Truth no finer than a picture of `size` pixels: means of blocks, seen where all of a block
    is, and is seen in one place. Raises ValueError for sizes of which neither divides the other."""
    many = truth.shape[1]
    if many % size and size % many:
        raise ValueError(f"flows of {many} px do not fit a picture of {size} px")
    if many <= size:
        return truth
    times = many // size
    blocks = truth.reshape(len(truth), size, times, size, times, 4)
    place = blocks[..., :2]
    spread = place.max((2, 4)) - place.min((2, 4))
    whole = (spread.max(-1) < 2 * times / many) & (blocks[..., 2].min((2, 4)) > 0)
    person = blocks[..., 3].mean((2, 4)) > 0.5
    flags = jnp.stack([whole, person], -1).astype(truth.dtype)
    return jnp.concatenate([place.mean((2, 4)), flags], -1)


def _pool(x: Float[Array, "b h w k"], size: int) -> Float[Array, "b s s k"]:
    """Means of blocks: their centres are those of larger pixels."""
    times = x.shape[1] // size
    if times == 1:
        return x
    return x.reshape(len(x), size, times, size, times, -1).mean((2, 4))


def _spread(x: Float[Array, "b s s k"], size: int) -> Float[Array, "b h w k"]:
    times = size // x.shape[1]
    return x if times == 1 else jnp.repeat(jnp.repeat(x, times, 1), times, 2)
