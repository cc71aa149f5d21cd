"""Exact correspondences as targets of a composed picture: what is moved from where, what is drawn.

A renderer knows where each pixel of one picture is seen in another. That says directly what a
picture's error says only by a detour, through the colours next to where the model looks now.
"""

import jax
import jax.numpy as jnp

from vasa_jax.face.compose import Composed
from vasa_jax.face.image_losses import region_loss
from vasa_jax.means import Means, weighted
from vasa_jax.typing import Array, Float, Image

__all__ = ["flow_loss", "hidden_loss", "share_loss"]

Truth = Float[Array, "b s s 4"]
STILL = 0.006
"""Picture widths: what moves by less may as well be left where it is."""
SEEN = 0.1
"""What a pixel that the portrait shows counts among what is drawn; in eyes and mouth, what all such
pixels together do."""
HIDDEN = 0.25
"""Share of what is hidden in eyes and mouth in their loss of shares. An opening is a few pixels of
a mouth's thousand: by area it is found late, and beside the lips; by halves it takes the lips."""
_LEAST = 1e-4


def flow_loss(
    made: Composed, truth: Truth, points: Float[Array, "b 5 2"] | None, regions: float
) -> Means:
    """Mean distance, in picture widths (L1), between where moved pixels of the person come from and
    where they are seen, over what is seen; in eyes and mouth once more, `regions` times.

    Unweighted. truth: as `FaceBatch.driver_flow`.
    """
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


def share_loss(
    made: Composed, truth: Truth, points: Float[Array, "b 5 2"] | None, regions: float
) -> Means:
    """Cross-entropy of the shares to which layers can show a pixel: moved ones where the portrait
    shows that place of the person, still ones where it lies there already, else drawn ones. With a
    plate the background is its own, and drawn ones are left with the person.

    Where two can, their sum counts. Eyes and mouth once more, `regions` times, `HIDDEN` of it for
    what is hidden there. Unweighted.
    """
    truth = _fit(truth, made.shares.shape[1])
    seen, person = truth[..., 2], truth[..., 3]
    near = jnp.abs(truth[..., :2] - _centres(truth.shape[1])).max(-1) < STILL
    unseen = 1 - seen
    rest = (unseen * person, 1 - person) if made.has_plate else (unseen,)
    can = jnp.stack([seen * person, seen * near, *rest], -1)
    share = _pool(jax.nn.softmax(made.shares, -1), truth.shape[1])
    cost = -jnp.log(jnp.maximum((share * can).sum(-1, keepdims=True), _LEAST))
    hidden = rest[0][..., None]
    return (
        weighted(cost, jnp.ones_like(cost))
        + region_loss(cost, points, HIDDEN * regions, hidden)
        + region_loss(cost, points, (1 - HIDDEN) * regions, 1 - hidden)
    )


def hidden_loss(
    drawn: Image,
    target: Image,
    truth: Truth,
    points: Float[Array, "b 5 2"] | None,
    regions: float,
    plate: bool = False,
) -> Means:
    """L1 of what the decoder draws, counted where the portrait does not show it (with a plate: of
    the person), and a little everywhere. In eyes and mouth once more, `regions` times: the mean
    over what is hidden there, and by `SEEN` over the rest. Unweighted.
    """
    truth = _fit(truth, drawn.shape[1])
    hidden = 1 - truth[..., 2:3]
    hidden = _spread(hidden * truth[..., 3:] if plate else hidden, drawn.shape[1])
    error = jnp.abs(drawn - target).mean(-1, keepdims=True)
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
