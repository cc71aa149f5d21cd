"""Losses on codes: dynamics contrast, identity, pose and gaze labels."""

import jax
import jax.numpy as jnp

from vasa_jax.config.losses import ArkitLabelLoss, ContrastLoss, PoseLabelLoss
from vasa_jax.means import Means, weighted
from vasa_jax.typing import Array, Float, Pose

Vectors = Float[Array, "b c"]
Rows = Float[Array, " b"]


def cosine(a: Vectors, b: Vectors) -> Rows:
    """Cosine of the angle between rows; 0, with a finite gradient, where one of them is 0."""
    power = jnp.sum(a * a, -1) * jnp.sum(b * b, -1)
    return jnp.sum(a * b, -1) * jax.lax.rsqrt(jnp.maximum(power, 1e-16))


def contrast_loss(
    config: ContrastLoss,
    same: Vectors,
    cross: Vectors,
    driver: Vectors,
    other: Vectors,
    present: Rows,
) -> Means:
    """Cosine contrast of dynamics codes (MegaPortraits, L_cos), unweighted.

    -sum_P log[e^d(P) / (e^d(P) + sum_N e^d(N))], d(a, b) = s (cos(a, b) - m), with
    P = {(same, driver), (cross, driver)} and N = {(same, other), (cross, other)}.
    same: z_{s->d}, of the driven image; cross: z_{s*->d}; driver: z_d; other: z_{d*} of another
    person. present: 0 where that is the same person; such rows are left out.
    """

    def score(a: Vectors, b: Vectors) -> Rows:
        return config.scale * (cosine(a, b) - config.margin)

    negative = jnp.logaddexp(score(same, other), score(cross, other))
    positives = (score(same, driver), score(cross, driver))
    of_same, of_cross = (jnp.logaddexp(p, negative) - p for p in positives)
    return weighted(of_same + of_cross, present)


def identity_loss(source: Vectors, drawn: Vectors, present: Rows) -> Means:
    """1 - cos(id(I_s), id(D(V_s, id_s, pose_d, dyn_d))) (VASA-1 3.1, l_cross_id), unweighted.

    The source's embedding is the target and has no gradient.
    """
    return weighted(1 - cosine(jax.lax.stop_gradient(source), drawn), present)


def circle_distance(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """|a - b| on the circle, in [0, pi]; radians."""
    difference = a - b
    return jnp.abs(jnp.arctan2(jnp.sin(difference), jnp.cos(difference)))


def pose_loss(config: PoseLabelLoss, prediction: Pose, label: Pose, present: Rows) -> Means:
    """L1 to a pose label: angles on the circle, translation, log scale; unweighted by `weight`."""
    rows = (
        config.rotation * circle_distance(prediction.rotation, label.rotation).mean(-1)
        + config.translation * jnp.abs(prediction.translation - label.translation).mean(-1)
        + config.log_scale * jnp.abs(prediction.log_scale - label.log_scale).mean(-1)
    )
    return weighted(rows, present)


def gaze_loss(prediction: Float[Array, "b 2"], label: Float[Array, "b 2"], present: Rows) -> Means:
    """L1 on the circle to gaze labels (yaw, pitch; radians)."""
    return weighted(circle_distance(prediction, label).mean(-1), present)


def arkit_loss(
    config: ArkitLabelLoss, prediction: Float[Array, "b 52"], label: Float[Array, "b 52"]
) -> Means:
    """Mean of ((prediction - label) / spread)^2, unweighted; ours.

    spread: a coefficient's standard deviation in the batch, at least `config.floor`, so that small
    movements count as much as the jaw's. Squares, since absolute errors are least for the median,
    which is 0 for most coefficients: a constant head would be a local minimum.
    """
    spread = jnp.maximum(jnp.std(label, 0), config.floor)
    # Spreads are part of the counts, so that a microbatch is scaled by those of the whole batch.
    total, count = jnp.sum((prediction - label) ** 2, 0), label.size * spread**2
    return Means((total,), (count,), (0.0,))
