"""The portrait with the person taken out: what comes into sight where a head moves away.

Film's clean plate. Not from the paper, whose decoder draws the background as well. Where the person
is, the plate is filled smoothly from the background around (push and pull over a pyramid, after
Gortler et al. 1996, The Lumigraph, section 3.4.2): all that a portrait says about it.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.face.compose import Composed, enlarge, shrink
from vasa_jax.face.conv import Conv, Style
from vasa_jax.face.sampling import from_front
from vasa_jax.typing import Array, Float, Image, Volume

__all__ = ["Person", "own_background", "person_loss", "take_out"]

WIDTH = 16
RIM = 3 / 256
"""Picture widths by which a person's outline is taken for larger than the shares say."""
_ANY = 0.02
"""Share of a cell that the person covers: more is not background."""
_FULL = 4.0
"""So many times its weight counts what is known of a cell: sparse colours of its own come before
those around."""
_LEAST = 1e-4
"""Weight of what is not known, in means: they have a colour where nothing is."""


class Person(nn.Module):
    """Logits that the person is in or beside a cell of the posed volume, seen from the front."""

    style: Style = Style()

    @nn.compact
    def __call__(self, volume: Volume) -> Float[Array, "b i j 1"]:
        conv = Conv(WIDTH, standardise=False, style=self.style, name="conv")
        x = jax.nn.relu(conv(from_front(volume)))
        return Conv(1, standardise=False, style=self.style, name="head")(x).astype(jnp.float32)


def take_out(portrait: Image, person: Float[Array, "b i j 1"]) -> Image:
    """The portrait where it surely shows background, and what is around where it does not.

    person: logits, i = j, at least 2; a cell half as likely as not the person's counts as such.
    """
    known = jnp.clip(2 * jax.nn.sigmoid(-person.astype(jnp.float32)) - 1, 0, 1)
    return _filled(portrait, enlarge(known, portrait.shape[1]), known)


def own_background(portrait: Image, made: Composed, cells: int) -> Image:
    """`take_out` by the shares of the portrait's own picture, pixel by pixel.

    made: decoded with the portrait's own motion, where a share of the plate says that background is
    seen and not a person. `Person` has a cell for each 8 pixels of 256, and not the decoder's eye
    for outlines: background that it takes for the person's would go soft in every frame.
    cells: along a side, of what is filled in.
    """
    moved, _, drawn, plate = jnp.split(jax.nn.softmax(made.shares, -1), 4, -1)
    known = jnp.clip(2 * plate / (moved + drawn + plate) - 1, 0, 1)
    around = 2 * round(RIM * portrait.shape[1]) + 1
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
    own = jnp.minimum(1.0, _FULL * known)
    return own * colour + (1 - own) * around


def _mean(colour, known, size):
    weight = known + _LEAST
    return shrink(colour * weight, size) / shrink(weight, size)


def person_loss(person: Float[Array, "b i j 1"], mask: Float[Array, "b h w 1"]) -> Array:
    """Cross-entropy to whether the person is in a cell or in one beside it. Unweighted.

    mask: 1 is the person. A cell of margin: what is found of the background holds no rim of hair.
    """
    there = shrink(mask, person.shape[1])
    there = nn.max_pool(there, (3, 3), padding="SAME") > _ANY
    sign = jnp.where(there, 1.0, -1.0)
    return jax.nn.softplus(-sign * person).mean()
