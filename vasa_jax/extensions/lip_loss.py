"""A loss on how far lips are apart, for motion whose z_dyn is the ARKit code.

VASA-1's z_dyn has no entry for lips. Lips that do not quite meet on m, b and p are
seen at once, and are next to nothing among the squared errors of all numbers of a frame: jaw and
mouthClose, which cancel where lips are shut, each err a little.
"""

import jax.numpy as jnp
import numpy as np

from vasa_jax.extensions.arkit_code import SCALE
from vasa_jax.lips import PARTING
from vasa_jax.means import Term, weighted
from vasa_jax.motion.stats import MotionStats
from vasa_jax.typing import ARKIT, POSE_DIM, Array, Bool, Float

__all__ = ["lip_terms"]

SHUT = 0.05
"""Below this lips look closed (`lips_apart`)."""
CLOSURES = 4.0
"""How much more a frame of shut lips counts: a fifth of all frames."""
SPREAD = 0.15
"""Standard deviation of `lips_apart` in speech, which makes the loss comparable to that of x0."""


def lip_terms(
    weight: float,
    stats: MotionStats,
    error: Float[Array, "b w m"],
    target: Float[Array, "b w m"],
    valid: Bool[Array, "b w"],
) -> list[Term]:
    """The term "lips": squared error of the lips' opening; none at weight 0.

    error: prediction less target; target: both normalised motion.
    """
    if not weight:
        return []
    direction = np.zeros(target.shape[-1], np.float32)
    direction[POSE_DIM : POSE_DIM + len(ARKIT)] = PARTING / SCALE
    opening = (target * stats.std + stats.mean) @ direction
    missed = (error * stats.std) @ direction
    # Shut is shut: pressing lips together harder than the target does is no error.
    missed = jnp.where((opening < SHUT) & (opening + missed < 0), 0.0, missed)
    counted = jnp.where(opening < SHUT, CLOSURES, 1.0) * valid
    # Chosen first: frames that do not exist need not be finite.
    square = jnp.where(valid, (missed / SPREAD) ** 2, 0.0)
    return [("lips", weight, weighted(square, counted))]
