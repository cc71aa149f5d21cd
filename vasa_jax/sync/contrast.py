"""The loss of `av_sync`: which sound belongs to these lips, of other times and of other clips."""

import jax
import jax.numpy as jnp

from vasa_jax.typing import Array, Float, Int

__all__ = ["contrastive_losses", "shifted_distances"]

_EPS = 1e-6
SOFT = 0.1
"""Probability that the target leaves to either neighbouring frame, which nobody sees is wrong."""


def _norms(difference: Float[Array, "*s e"]) -> Float[Array, "*s"]:
    return jnp.sqrt(jnp.square(difference).sum(-1) + _EPS)


def shifted_distances(
    lips: Float[Array, "b t e"], sounds: Float[Array, "b u e"]
) -> Float[Array, "b s t"]:
    """Distances of lips t and sound t + s; sound begins before the lips, u - t + 1 shifts fit."""
    count = lips.shape[1]
    shifts = range(sounds.shape[1] - count + 1)
    return jnp.stack([_norms(lips - sounds[:, s : s + count]) for s in shifts], 1)


def contrastive_losses(
    lips: Float[Array, "b t e"],
    sounds: Float[Array, "b u e"],
    log_temperature: Float[Array, " b"],
    start: Int[Array, "b k"],
    length: Int[Array, "b k"],
) -> tuple[Float[Array, " b"], Float[Array, " b"], Float[Array, " b"]]:
    """Cross-entropies of an example over time and over clips, and how often the time is found.

    start, length: the frames that are compared, k stretches an example; a logit is the mean
    distance over a stretch times the temperature and the root of length / 5, since longer ones say
    more. Over time: of the u - t + 1 shifts the middle one is true. Over clips: the lips' own sound
    against the sounds that the other examples of the batch have at the same place.
    """
    count, margin = lips.shape[1], (sounds.shape[1] - lips.shape[1]) // 2
    at = jnp.arange(count)
    inside = (at >= start[..., None]) & (at < (start + length)[..., None])
    mean = inside / length[..., None]
    scale = -jnp.exp(log_temperature)[:, None] * jnp.sqrt(length / 5.0)

    own = jnp.einsum("bst,bkt->bks", shifted_distances(lips, sounds), mean)
    logits = scale[..., None] * own
    shifts = jnp.arange(own.shape[-1])
    target = jnp.where(abs(shifts - margin) == 1, SOFT, 0.0)
    target = jnp.where(shifts == margin, 1 - 2 * SOFT, target)
    when = -(target * jax.nn.log_softmax(logits)).sum(-1)
    found = (abs(jnp.argmax(logits, -1) - margin) <= 1).astype(jnp.float32)

    same_time = sounds[:, margin : margin + count]
    others = _norms(lips[:, None] - same_time[None])  # lips of b, sound of c
    logits = scale[..., None] * jnp.einsum("bct,bkt->bkc", others, mean)
    who = -jnp.diagonal(jax.nn.log_softmax(logits), axis1=0, axis2=2)  # (k, b)
    return when.mean(1), who.mean(0), found.mean(1)
