"""CLIP's symmetric loss (Radford et al. 2021, figure 3), with negatives that are one row's own."""

import jax
import jax.numpy as jnp

from vasa_jax.typing import Array, Float

MOST_SCALE = 100.0
"""Of the inverse temperature (CLIP, section 2.5)."""


def inverse_temperature(log_scale: Float[Array, ""]) -> Float[Array, ""]:
    """exp(log_scale), at most `MOST_SCALE`."""
    return jnp.minimum(jnp.exp(log_scale), MOST_SCALE)


def contrastive_loss(
    pose: Float[Array, "b e"],
    audio: Float[Array, "b e"],
    log_scale: Float[Array, ""],
    others: Float[Array, "b e"] | None = None,
    count: float = 1.0,
) -> Float[Array, ""]:
    """Mean of the cross-entropies of finding each sound's pose and each pose's sound in the batch.

    pose, audio: embeddings of length 1, row i of both is a pair. others: a pose for each sound that
    does not belong to it; it is a negative of that sound alone, and counts as `count` of them.
    """
    scale = inverse_temperature(log_scale)
    logits = scale * jnp.matmul(audio, pose.T, precision=jax.lax.Precision.HIGHEST)
    by_audio = logits
    if others is not None:
        own = scale * (audio * others).sum(-1, keepdims=True) + jnp.log(count)
        by_audio = jnp.concatenate([logits, own], 1)
    return (_cross_entropy(by_audio) + _cross_entropy(logits.T)) / 2


def _cross_entropy(logits: Float[Array, "b n"]) -> Float[Array, ""]:
    """Mean over rows; the right class of row i is i."""
    right = jnp.diagonal(logits)
    return (jax.nn.logsumexp(logits, axis=1) - right).mean()


def accuracy(pose: Float[Array, "b e"], audio: Float[Array, "b e"]) -> Float[Array, ""]:
    """Share of the sounds whose own pose is nearer than every other pose of the batch."""
    logits = jnp.matmul(audio, pose.T, precision=jax.lax.Precision.HIGHEST)
    return (logits.argmax(1) == jnp.arange(len(logits))).mean()
