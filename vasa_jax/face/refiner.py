"""A refiner of the inner face: redraws brows, eyes and mouth of a decoded frame at full resolution.

Not from the paper, whose decoder draws 512 px with 55M parameters. Where the networks draw a small
frame (`face.network_size`), the inside of a mouth and closed lids are a few blurred pixels. A U-Net
(Ronneberger et al. 2015, 1505.04597) sees a crop that the head's pose holds in place, so it knows
where lips and lids are, together with the portrait's own crop and both dynamics codes, and predicts
what is to be added to the frame: nothing at the start of training.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vasa_jax.face.conv import Conv, Style
from vasa_jax.face.layers import GroupNorm, ResBlock
from vasa_jax.face.motion import FACE_CENTRE, crop_grid
from vasa_jax.face.sampling import identity_grid, sample_volume
from vasa_jax.typing import Array, Float, Image, Motion, Pose

__all__ = ["FaceRefiner", "condition", "crop_face", "paste_face", "window"]

HALF = 0.54
"""Half the crop's side in half pictures of a head of canonical size: from above the brows to below
the chin of an open mouth."""
WIDTHS = (32, 48, 64)
"""Channels at a half, a quarter and an eighth of the crop's size."""
EMBED = 64
BORDER = 0.12
"""Share of the crop's half over which what is drawn fades out towards its edge."""

Crop = Float[Array, "b s s 3"]


def crop_face(image: Image, pose: Pose, size: int, half: float = HALF) -> Crop:
    """The inner face of each image, its place, size and roll taken away by `pose`. half: of the
    crop's side, canonical coordinates."""
    grid = crop_grid(pose, size, half)
    grid = jnp.concatenate([grid, jnp.zeros_like(grid[..., :1])], -1)
    return sample_volume(image[:, None], grid[:, None], "border")[:, 0]


def paste_face(image: Image, pose: Pose, change: Crop) -> Image:
    """`image` plus a change of its crop: the inverse of `crop_face`. change: 0 at the edges."""
    size = image.shape[1]
    own = identity_grid(1, size, size)[..., :2]
    place, roll = pose.translation[:, None, None, :2], pose.rotation[:, 2, None, None]
    x, y = jnp.moveaxis((own - place) / jnp.exp(pose.log_scale)[:, None, None], -1, 0)
    cos, sin = jnp.cos(roll), jnp.sin(roll)
    turned = jnp.stack([cos * x + sin * y, cos * y - sin * x], -1)
    centre = jnp.asarray(FACE_CENTRE, jnp.float32)
    grid = (turned - centre) / HALF
    grid = jnp.concatenate([grid, jnp.zeros_like(grid[..., :1])], -1)
    return image + sample_volume(change[:, None], grid[:, None])[:, 0]


def window(size: int) -> Float[Array, "s s 1"]:
    """1 inside a crop, falling smoothly to 0 at its edge."""
    far = 1 - jnp.abs(jnp.linspace(-1.0, 1.0, size))
    edge = jnp.clip(far / BORDER, 0, 1)
    edge = edge * edge * (3 - 2 * edge)
    return (edge[:, None] * edge)[..., None]


def condition(source: Motion, driver: Motion) -> Float[Array, "b n"]:
    """What the refiner knows of motion: the dynamics and rotations of portrait and frame."""
    many = driver.dyn.shape[0]
    parts = (driver.dyn, driver.pose.rotation, source.dyn, source.pose.rotation)
    return jnp.concatenate([jnp.broadcast_to(x, (many, x.shape[-1])) for x in parts], -1)


class FaceRefiner(nn.Module):
    """Crops of a frame and of its portrait, and `condition` -> the frame's crop drawn anew, not
    bounded to [0, 1]. The crops' side must be a multiple of 8.

    What is added is predicted without a mask: a mask is driven to 0 long before anything worth
    showing is drawn, and then no gradient is left.
    """

    style: Style = Style()

    @nn.compact
    def __call__(
        self, frame: Crop, portrait: Float[Array, "p s s 3"], motion: Float[Array, "b n"]
    ) -> Float[Array, "b s s 3"]:
        style, size = self.style, frame.shape[1]
        first, middle, last = WIDTHS
        hidden = jax.nn.relu(nn.Dense(2 * EMBED, name="motion1")(motion))
        embed = nn.Dense(EMBED, name="motion2")(hidden)[:, None, None, :]
        where = jnp.linspace(-1.0, 1.0, size // 2)
        where = jnp.stack(jnp.meshgrid(where, where), -1)
        portrait = jnp.broadcast_to(portrait, frame.shape)
        x = _fold(jnp.concatenate([frame, portrait], -1))
        x = jnp.concatenate([x, jnp.broadcast_to(where, (*x.shape[:3], 2))], -1)
        x = Conv(first, standardise=False, style=style, name="stem")(x)
        fine = ResBlock(first, style=style, name="fine_in")(x, embed)
        x = Conv(middle, stride=2, style=style, name="down_1")(fine)
        coarse = ResBlock(middle, style=style, name="coarse_in")(x, embed)
        x = Conv(last, stride=2, style=style, name="down_2")(coarse)
        for k in (1, 2):
            x = ResBlock(last, style=style, name=f"block_{k}")(x, embed)
        x = coarse + ResBlock(middle, up2=True, style=style, name="up_1")(x, embed)
        x = fine + ResBlock(first, up2=True, style=style, name="up_2")(x, embed)
        x = jax.nn.relu(GroupNorm(style, name="norm")(x))
        zeros = nn.initializers.zeros
        head = Conv(12, standardise=False, style=style, kernel_init=zeros, name="head")(x)
        return frame + window(size) * _unfold(head.astype(jnp.float32))


def _fold(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c4"]:
    """Each 2 x 2 square of pixels as one with four times the channels."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c)
    return jnp.moveaxis(x, 2, 3).reshape(b, h // 2, w // 2, 4 * c)


def _unfold(x: Float[Array, "b h w c4"]) -> Float[Array, "b h2 w2 c"]:
    """The inverse of `_fold`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4)
    return jnp.moveaxis(x, 3, 2).reshape(b, 2 * h, 2 * w, c // 4)
