"""The decoder of a composited image: G2D with more heads, and what it sees of the portrait."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.config import FaceConfig
from vasa_jax.extensions.compositing.blend import DecoderLayers, look_up
from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.sampling import from_front, identity_grid, sample_volume
from vasa_jax.typing import Array, Float, Volume

__all__ = ["ExtendedDecoder", "PortraitFeatures", "VisibleDepthPrior", "features_in_view"]

PRIOR_SIZE = 32
_THICKNESS, _NEARNESS = 0.2, 1.5


class VisibleDepthPrior(nn.Module):
    """Canonical coordinates of a driven volume's voxels -> logits that one is the visible one of
    its column: near a learned front of the canonical head, and of two the nearer to the camera.

    The front is one map of canonical depth over x and y for all people, flat at the start; the
    decoder's `depth_logits` add what this person and pose change.
    """

    @nn.compact
    def __call__(self, grid: Float[Array, "b d i j 3"]) -> Float[Array, "b i j d"]:
        front = self.param("front", nn.initializers.zeros, (PRIOR_SIZE, PRIOR_SIZE))
        flat = grid.at[..., 2].set(0.0)
        z = sample_volume(front[None, None, :, :, None], flat, "border")[..., 0]
        nearer = jnp.linspace(1.0, -1.0, grid.shape[1])[:, None, None]
        score = -0.5 * ((grid[..., 2] - z) / _THICKNESS) ** 2 + _NEARNESS * nearer
        return jnp.moveaxis(score, 1, -1)


class PortraitFeatures(nn.Module):
    """The posed volume -> features of the portrait, seen from the front.

    The paper's decoder sees the driven volume alone, which does not say what is beside and behind a
    head and stays where it is while the head turns.
    """

    channels: int
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, volume: Volume) -> Float[Array, "b h2 w2 k"]:
        conv = Conv(self.channels, standardise=False, options=self.options, name="conv")
        return jax.nn.relu(conv(from_front(volume)))


def features_in_view(
    features: Float[Array, "p i j k"],
    source_coords: Float[Array, "b d i j 3"],
    depth_logits: Float[Array, "b i j d"],
) -> Float[Array, "b i j n"]:
    """What `ExtendedDecoder` sees of the portrait: its features in place and moved along, and how
    far each voxel was moved. depth_logits: of `VisibleDepthPrior` alone."""
    _, d, i, j, _ = source_coords.shape
    visible = jax.nn.softmax(depth_logits.astype(jnp.float32), -1)
    flow = jnp.einsum("bijd,bdijk->bijk", visible, source_coords[..., :2], precision="highest")
    moved = look_up(features, flow)
    far = from_front(source_coords - identity_grid(d, i, j))
    still = jnp.broadcast_to(features, moved.shape)
    return jnp.concatenate([still, moved, far.astype(still.dtype)], -1)


class ExtendedDecoder(nn.Module):
    """`face.decoder.Decoder`, whose norms may be adapted by `embed` (`decoder_embed`), whose
    projection may add `portrait` (`features_in_view`), and which draws `DecoderLayers` under
    `compositing`."""

    config: FaceConfig
    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(
        self,
        volume: Volume,
        embed: Float[Array, "b s s e"] | None = None,
        portrait: Float[Array, "b h w k"] | None = None,
    ) -> Float[Array, "b h2 w2 3"] | DecoderLayers:
        c, options = self.config, self.options

        def conv(features, name, size=3, init=nn.initializers.zeros):
            kwargs = {} if init is None else {"kernel_init": init}
            return Conv(features, size, standardise=False, options=options, name=name, **kwargs)

        x = conv(c.decoder_width, "project", 1, init=None)(from_front(volume))
        if portrait is not None:
            x = x + conv(c.decoder_width, "hint", 1)(portrait.astype(x.dtype))
        for i in range(c.decoder_blocks):
            x = ResBlock(c.decoder_width, options=options, name=f"block_{i + 1}")(x, embed)
        composite = c.extensions.compositing
        if composite:
            depth = conv(volume.shape[1], "depth", 1)(x)
        for i, width in enumerate(c.decoder_widths):
            x = ResBlock(width, up2=True, options=options, name=f"up_{i + 1}")(x, embed)
        x = jax.nn.relu(GroupNorm(options, name="norm")(x))
        head = conv(6 if composite else 3, "head", init=None)(x)
        image = jax.nn.sigmoid(head[..., :3].astype(jnp.float32))
        if not composite:
            return image
        # Names of parameters are those of the shipped weights.
        logits, residual, rigidity = head[..., 3:], conv(2, "shift")(x), conv(1, "follow")(x)
        if c.extensions.background:
            logits = jnp.concatenate([logits, conv(1, "plate")(x)], -1)
        return DecoderLayers(image, logits, depth, residual, rigidity)
