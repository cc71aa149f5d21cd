"""The background behind the person: what is disoccluded where a head moves away.

VASA-1's decoder draws the background as well. Where the person is, the portrait is inpainted
smoothly from the background around (push and pull over a pyramid, Gortler et al. 1996, The
Lumigraph, section 3.4.2): all that a portrait says about it.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.extensions.compositing.blend import CompositeOutput
from vasa_jax.extensions.compositing.resample import enlarge, shrink
from vasa_jax.face.conv import Conv, LayerOptions
from vasa_jax.face.sampling import from_front
from vasa_jax.typing import Array, Float, Image, Volume

__all__ = ["ForegroundHead", "foreground_loss", "inpaint_background", "own_background"]

WIDTH = 16
MARGIN = 3 / 256
"""Image widths by which the outline of `own_background` is dilated."""
_ANY = 0.02
"""A cell of which the person covers more is foreground."""
_CONFIDENCE_GAIN = 4.0
"""A cell whose known weight is 1/4 or more keeps its own colour; below, it is mixed with its
parent's in the pyramid."""
_LEAST = 1e-4
"""Weight of unknown pixels in means: they have a colour where nothing is known."""


class ForegroundHead(nn.Module):
    """The posed volume -> logits that the person is in or beside a cell, seen from the front."""

    options: LayerOptions = LayerOptions()

    @nn.compact
    def __call__(self, volume: Volume) -> Float[Array, "b i j 1"]:
        conv = Conv(WIDTH, standardise=False, options=self.options, name="conv")
        x = jax.nn.relu(conv(from_front(volume)))
        return Conv(1, standardise=False, options=self.options, name="head")(x).astype(jnp.float32)


def inpaint_background(portrait: Image, foreground: Float[Array, "b i j 1"]) -> Image:
    """The portrait with the person inpainted.

    foreground: logits, i = j, at least 2; a cell of probability 1/2 and more is inpainted whole.
    """
    known = jnp.clip(2 * jax.nn.sigmoid(-foreground.astype(jnp.float32)) - 1, 0, 1)
    return _filled(portrait, enlarge(known, portrait.shape[1]), known)


def own_background(portrait: Image, own: CompositeOutput, cells: int) -> Image:
    """`inpaint_background` by the blend of the portrait's own reconstruction, pixel by pixel.

    own: decoded with the portrait's own motion, where the blend says which pixels are background.
    `ForegroundHead` has a cell for each 8 pixels of 256: background that it takes for foreground
    would be soft in every frame. cells: along a side, of the inpainted colours.
    """
    assert own.blend_logits is not None  # `blend` makes them
    moved, _, decoded, background = jnp.split(jax.nn.softmax(own.blend_logits, -1), 4, -1)
    known = jnp.clip(2 * background / (moved + decoded + background) - 1, 0, 1)
    around = 2 * round(MARGIN * portrait.shape[1]) + 1
    known = -nn.max_pool(-known, (around, around), padding="SAME")
    return _filled(portrait, known, shrink(known, cells))


def _filled(portrait: Image, weight: Float[Array, "b h w 1"], known: Float[Array, "b i i 1"]):
    """weight, known: of pixels and of cells, 1 where the portrait shows background."""
    colour = _mean(portrait, weight, known.shape[1])  # of background pixels alone
    return weight * portrait + (1 - weight) * enlarge(_fill(colour, known), portrait.shape[1])


def _fill(colour: Float[Array, "b i i 3"], known: Float[Array, "b i i 1"]):
    few = colour.shape[1]
    if few <= 2:
        weight = known + _LEAST
        around = (colour * weight).sum((1, 2), keepdims=True) / weight.sum((1, 2), keepdims=True)
    else:
        half = (few + 1) // 2
        around = enlarge(_fill(_mean(colour, known, half), shrink(known, half)), few)
    own = jnp.minimum(1.0, _CONFIDENCE_GAIN * known)
    return own * colour + (1 - own) * around


def _mean(colour, known, size):
    weight = known + _LEAST
    return shrink(colour * weight, size) / shrink(weight, size)


def foreground_loss(
    foreground: Float[Array, "b i j 1"], mask: Float[Array, "b h w 1"]
) -> Float[Array, ""]:
    """Cross-entropy of the foreground's logits to a mask (1 is the person), dilated by a cell so
    that no hair remains in the background. Unweighted."""
    there = shrink(mask, foreground.shape[1])
    there = nn.max_pool(there, (3, 3), padding="SAME") > _ANY
    sign = jnp.where(there, 1.0, -1.0)
    return jax.nn.softplus(-sign * foreground).mean()
