"""Blendshapes in the canonical volume: displacements and features that are linear in z_dyn.

VASA-1's warp generators grow every displacement out of a 4 x 4 x 4 seed. What an entry of z_dyn
does to a face, it does at a fixed place of the canonical volume: a map for each entry learns that
in hundreds of steps (ARKit's blendshapes are such maps, of vertices). The generators add what
depends on the person and on combinations.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax

from vasa_jax.face.resize import avg_pool2, linear_up2
from vasa_jax.typing import Array, Float

__all__ = ["LR_SCALE", "BlendshapeMaps", "from_displacements"]

LR_SCALE = 0.1
"""Maps are stored divided by it, which makes Adam's steps ten times smaller: with plain ones half a
hundred noisy maps add up to a face that wobbles."""


class BlendshapeMaps(nn.Module):
    """z_dyn -> displacements and `features` channels of every column of the canonical volume.

    size: of the learned maps, height and width; volume_size: of the result. All start at 0.
    """

    size: int
    volume_size: int
    features: int = 0

    @nn.compact
    def __call__(
        self, dyn: Float[Array, "b k"]
    ) -> tuple[Float[Array, "b 1 h w 3"], Float[Array, "b 1 h w c"]]:
        shape = (dyn.shape[-1], self.size, self.size, 3 + self.features)
        maps = self.param("maps", nn.initializers.zeros, shape, jnp.float32)
        while maps.shape[1] > self.volume_size:
            maps = avg_pool2(maps, (1, 2))
        # Positions: highest precision, as in `pose.move`.
        x = jnp.einsum(
            "bk,khwc->bhwc", dyn.astype(jnp.float32), maps, precision=lax.Precision.HIGHEST
        )
        while x.shape[1] < self.volume_size:
            x = linear_up2(x, (1, 2))
        x = LR_SCALE * x[:, None]
        return x[..., :3], x[..., 3:]


def from_displacements(
    maps: Float[np.ndarray, "k h w c"], displacements: Float[np.ndarray, "l h w 3"], scale: float
) -> Float[np.ndarray, "k h w c"]:
    """`maps` that begin with known displacements (half cubes) of the first entries of z_dyn.

    scale: of those entries, where they are what the displacements belong to; negative for a driver,
    which looks up where a place came from.
    """
    fresh = np.array(maps, np.float32)
    fresh[: len(displacements), ..., :3] = displacements / (LR_SCALE * scale)
    return fresh
