"""Non-rigid warps: two generators of displacement fields, and their composition with the pose.

A warp field w(p) = p + delta(p) says where in its input volume the output voxel p is read. Rigid
and non-rigid maps are composed before sampling, so that each volume is resampled only once.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config.face import WARP_SEED_DEPTH, FaceConfig
from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.pose import inverse_pose_matrix, move, pose_matrix
from vasa_jax.face.resize import linear_up2
from vasa_jax.face.sampling import identity_grid, sample_volume
from vasa_jax.typing import Array, Float, Grid, Pose

__all__ = ["WarpGenerator", "canonical_grid", "driven_grid"]

INITIAL_DELTA = 0.03
"""Standard deviation of the displacements at the start, in half cubes: one voxel of 64.

Small, so that training begins near the identity; not zero, since with zero weights no gradient
would reach z_dyn and z_id, and they could stay unused.
"""


class WarpGenerator(nn.Module):
    """z_dyn map and z_id map -> displacements in [-1, 1] (MegaPortraits, Figure 9, its W).

    embed = 1x1(0.5 (z + e)); a 1x1 convolution and a reshape give a 4x4x4 seed; per width a 3-D
    residual block with norms adapted by embed, then trilinear x2 along the axes that are still
    short of the volume; GN, ReLU, 3x3x3 convolution, tanh.
    """

    config: FaceConfig
    options: LayerOptions = LayerOptions()
    size: int | None = None
    """Height and width of the field, voxels; None: the volume's."""

    @nn.compact
    def __call__(self, dyn_map: Float[Array, "b s s e"], identity: Float[Array, "i s s e"]) -> Grid:
        c, options = self.config, self.options
        b, s, _, e = dyn_map.shape
        embed = 0.5 * (dyn_map + identity)
        embed = Conv(e, 1, standardise=False, options=options, name="embed")(embed)
        x = Conv(e * WARP_SEED_DEPTH, 1, options=options, name="seed")(embed)
        x = jnp.moveaxis(x.reshape(b, s, s, WARP_SEED_DEPTH, e), 3, 1)
        for i, width in enumerate(c.warp_widths):
            x = ResBlock(width, dims=3, options=options, name=f"block_{i + 1}")(x, embed)
            if x.shape[1] < c.volume_depth:
                x = linear_up2(x, (1,))
            if x.shape[2] < (self.size or c.volume_size):
                x = linear_up2(x, (2, 3))
        x = jax.nn.relu(GroupNorm(options, name="norm")(x))
        # The squares of ReLU outputs average one half: hence the factor 2 in the variance.
        init = nn.initializers.variance_scaling(2.0 * INITIAL_DELTA**2, "fan_in", "normal")
        x = Conv(3, dims=3, standardise=False, options=options, kernel_init=init, name="head")(x)
        return jnp.tanh(x.astype(jnp.float32))


def canonical_grid(pose: Pose, delta: Grid) -> Grid:
    """Where to read the source's posed volume: M_s (p + delta(p)), exact.

    Resampling twice, first by the pose and then by the warp, reads V(M_s w(p)): this very point.
    """
    p = identity_grid(*delta.shape[1:4])
    return move(pose_matrix(pose), p + delta)


def driven_grid(pose: Pose, delta: Grid) -> Grid:
    """Where to read the canonical volume for output voxel q: r + delta(r) with r = M_d^-1 q.

    Here the warp comes first and the pose last, so the field is looked up between its voxels: an
    interpolation of three channels in place of a second one of the whole volume. Outside the cube
    the displacement of the nearest border voxel holds.
    """
    q = identity_grid(*delta.shape[1:4])[None]
    r = move(inverse_pose_matrix(pose), q)
    return r + sample_volume(delta, r, "border")
