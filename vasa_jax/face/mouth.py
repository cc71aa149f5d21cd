"""The inside of a mouth as a texture that is fixed to the skull: teeth, tongue, the dark behind.

Not from the paper, whose decoder draws teeth from the volume. Where the networks draw 128 px, a
mouth is 5 x 2 cells of the volume, and what L1 leaves of teeth is grey. Here a few textures of all
people are blended by what the face does and by who it is, and laid where the head's pose puts the
upper jaw, at the picture's own size: upper teeth stay where the skull is, however lips move.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.face.conv import Conv, Style
from vasa_jax.face.pose import pose_matrix
from vasa_jax.face.sampling import from_front, sample_volume
from vasa_jax.typing import Array, Float, Motion, Pose, Volume

__all__ = ["MouthFinder", "MouthTexture", "mouth_grid", "mouth_loss"]

BELOW, HALF = 0.07, (0.24, 0.22)
"""How far the texture's middle lies below that of a shut mouth, and half its width and height, in
the canonical cube: mouths are 0.35 wide and open down."""
DEPTH = -0.05
"""z of the plane that it lies in. Middles of mouths of 80 synthetic heads, turned back from two
poses each, differ there by 0.011 and 0.007 (x, y); between people by 0.011 and 0.07."""
WIDTH, TEXTURES = 64, 32
"""Units of the layer that says how they are blended; how many there are."""
AT_START = -3.0
"""Logit of its opacity: it joins a trained model hardly seen."""
SPEED, LEVELS = 10.0, (0.15, 0.5, 1.0, 1.0)
"""Of the textures' parameters, what acts, and of each level of their pyramid, finest first: Adam
moves each by a learning rate a step, and logits of colours have units to go."""
REACH = 0.1
"""Of what is told of a person's mouth beside its place: how far its teeth lie from the mean's."""


class MouthFinder(nn.Module):
    """Where a portrait's mouth is: its middle in the picture, (x, y) in [-1, 1], and in the
    canonical plane of the upper jaw, as if it were at rest. From the posed volume."""

    style: Style = Style()

    @nn.compact
    def __call__(
        self, volume: Volume, motion: Motion
    ) -> tuple[Float[Array, "b 2"], Float[Array, "b 2"]]:
        conv = Conv(WIDTH // 2, standardise=False, style=self.style, name="conv")
        x = jax.nn.relu(conv(from_front(volume)))
        heat = Conv(1, standardise=False, style=self.style, name="heat")(x)[..., 0]
        rows, columns = heat.shape[1:]
        share = jax.nn.softmax(heat.astype(jnp.float32).reshape(len(heat), -1))
        share = share.reshape(heat.shape)
        across = share.sum(1) @ jnp.linspace(-1.0, 1.0, columns)
        down = share.sum(2) @ jnp.linspace(-1.0, 1.0, rows)
        seen = jnp.stack([across, down], -1)
        inverse, offset = _plane(motion.pose)
        found = jnp.einsum("bij,bj->bi", inverse, seen - offset, precision="highest")
        # Smiles lift its corners, and an open jaw lowers them.
        zeros = nn.initializers.zeros
        moved = nn.Dense(2, kernel_init=zeros, name="moved")(motion.dyn.astype(jnp.float32))
        return seen, found - REACH * moved


class MouthTexture(nn.Module):
    """(z_pose, z_dyn, z_id, where the mouth is at rest) -> what may be seen of its inside: RGB in
    [0, 1] and how opaque, at `size` x `size` pixels. rows: of a texture, which has 6/5 as many
    columns. mouth: by `MouthFinder`."""

    rows: int

    @nn.compact
    def __call__(
        self,
        motion: Motion,
        identity: Float[Array, "p s s c"],
        mouth: Float[Array, "p 2"],
        size: int,
    ) -> Float[Array, "b size size 4"]:
        person = identity.astype(jnp.float32).mean((1, 2))
        person = nn.tanh(nn.Dense(WIDTH, name="person")(person))
        person = jnp.broadcast_to(person, (len(motion.dyn), WIDTH))
        face = nn.Dense(WIDTH, name="face")(motion.dyn.astype(jnp.float32))
        blend = nn.Dense(TEXTURES, name="blend")(nn.relu(face + nn.Dense(WIDTH, name="by")(person)))
        zeros = nn.initializers.zeros
        place = REACH * nn.Dense(3, kernel_init=zeros, name="place")(person)
        place = place.at[:, :2].add(mouth)
        # One more texture is the mean of all.
        textures = self._textures((TEXTURES + 1, self.rows, self.rows * 6 // 5, 4))
        logits = textures[-1] + jnp.einsum("bk,khwc->bhwc", blend, textures[:-1])
        light = nn.Dense(3, kernel_init=zeros, name="light")(person)
        colour = jax.nn.sigmoid(logits[..., :3] + light[:, None, None])
        opaque = jax.nn.sigmoid(logits[..., 3:] + AT_START)
        texture = jnp.concatenate([colour * opaque, opaque], -1)
        grid = mouth_grid(motion.pose, place, size)
        # Outside of it nothing is seen; colours are premultiplied, so that borders keep theirs.
        seen = sample_volume(texture[:, None], grid[:, None], "zeros")[:, 0]
        return jnp.concatenate([seen[..., :3] / (seen[..., 3:] + 1e-4), seen[..., 3:]], -1)

    def _textures(self, shape: tuple[int, int, int, int]) -> Float[Array, "k h w 4"]:
        """A sum over a pyramid: what is coarse is learned first, and single texels last."""
        total, (count, rows, columns, channels) = jnp.zeros(shape), shape
        for level, share in enumerate(LEVELS):
            small = (count, -(-rows // 2**level), -(-columns // 2**level), channels)
            part = self.param(f"textures{level}", nn.initializers.normal(1e-4), small)
            total = total + SPEED * share * jax.image.resize(part, shape, "linear")
        return total


def mouth_grid(pose: Pose, place: Float[Array, "b 3"], size: int) -> Float[Array, "b size size 3"]:
    """Where in the texture each pixel looks: (x, y, 0), the texture being [-1, 1].

    place: of a person's mouth at rest, x and y (canonical units), and the log of its scale.
    """
    inverse, offset = _plane(pose)
    axis = jnp.linspace(-1.0, 1.0, size)
    pixels = jnp.stack(jnp.meshgrid(axis, axis), -1) - offset[:, None, None]
    points = jnp.einsum("bij,bhwj->bhwi", inverse, pixels, precision="highest")
    half = jnp.array(HALF) * jnp.exp(place[:, 2:])
    middle = place[:, :2] + jnp.array([0.0, BELOW])
    inside = (points - middle[:, None, None]) / half[:, None, None]
    return jnp.concatenate([inside, jnp.zeros_like(inside[..., :1])], -1)


def _plane(pose: Pose) -> tuple[Float[Array, "b 2 2"], Float[Array, "b 2"]]:
    """(A^-1, b) of the canonical plane z = DEPTH, whose point (x, y) is seen, orthographically, at
    the pixel A (x, y) + b."""
    matrix = pose_matrix(pose)
    (a, b), (c, d) = (jnp.moveaxis(matrix[:, k, :2], -1, 0) for k in range(2))
    inverse = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], -2)
    # A head from the side would stretch it without end.
    inverse = inverse / jnp.maximum(a * d - b * c, 0.1)[:, None, None]
    return inverse, matrix[:, :2, 2] * DEPTH + matrix[:, :2, 3]


def mouth_loss(seen: Float[Array, "b 2"], points: Float[Array, "b 5 2"]) -> Float[Array, ""]:
    """L1 of where a mouth was found (`MouthFinder`) to the middle of its corners. points: in
    ArcFace's order, fractions of the image. Unweighted."""
    return jnp.abs(seen - (2 * points[:, 3:].mean(1) - 1)).mean()
