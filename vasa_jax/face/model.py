"""FaceModel: the face latent space of VASA-1 (section 3.1), encode, canonicalise, drive, decode."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vasa_jax.config import FaceConfig
from vasa_jax.face.appearance import AppearanceEncoder
from vasa_jax.face.conv import Style
from vasa_jax.face.decoder import Decoder
from vasa_jax.face.identity import IdentityEncoder
from vasa_jax.face.motion import DynEncoder, PoseEncoder
from vasa_jax.face.sampling import sample_volume
from vasa_jax.face.volume import CanonicalNet
from vasa_jax.face.warp import WarpGenerator, canonical_grid, driven_grid
from vasa_jax.typing import Array, Float, Image, Motion, Source, Volume

__all__ = ["FaceModel", "parameter_table"]


class FaceModel(nn.Module):
    """Four encoders and one decoder; images are (b, image_size, image_size, 3) in [0, 1].

    folded: the parameters went through `fold_weight_standardisation`.
    """

    config: FaceConfig
    dtype: DTypeLike = jnp.float32
    folded: bool = False

    def setup(self):
        c = self.config
        style = Style(c.norm_groups, self.dtype, self.folded)
        self.appearance = AppearanceEncoder(c, style)
        self.identity = IdentityEncoder(c, style)
        self.pose = PoseEncoder(c, style)
        self.dyn = DynEncoder(c, style)
        self.embed = nn.Dense(c.embed_size**2 * c.embed_channels, dtype=self.dtype)
        self.warp_source = WarpGenerator(c, style)
        self.warp_driver = WarpGenerator(c, style)
        self.canonical = CanonicalNet(c, style)
        self.decoder = Decoder(c, style)

    def __call__(self, source_image: Image, driver_image: Image) -> Image:
        """The driver's motion on the source's face: touches every parameter."""
        return self.decode(self.encode_source(source_image), self.encode_motion(driver_image))

    def encode_motion(self, image: Image) -> Motion:
        """z_pose and z_dyn of each image; no gradient enters a net under its freeze_… key."""
        pose = self.pose(image)
        if self.config.freeze_pose:
            pose = jax.lax.stop_gradient(pose)
        dyn = self.dyn(image, pose)
        if self.config.freeze_dyn:
            dyn = jax.lax.stop_gradient(dyn)
        return Motion(pose, dyn)

    def encode_source(self, image: Image, motion: Motion | None = None) -> Source:
        """Canonical appearance volume and z_id of each portrait: once per person.

        motion: the portrait's own motion where it is known already (or known exactly, as for
        rendered heads); else it is encoded here.
        """
        motion = self.encode_motion(image) if motion is None else motion
        identity = self.identity(image)
        return Source(self.canonicalise(self.appearance(image), motion, identity), identity)

    def canonicalise(
        self, volume: Volume, motion: Motion, identity: Float[Array, "b s s e"]
    ) -> Volume:
        """Take pose and expression out of a posed volume: one resample, then G3D."""
        delta = self.warp_source(self._dyn_map(motion), identity)
        return self.canonical(sample_volume(volume, canonical_grid(motion.pose, delta)))

    def drive(self, source: Source, motion: Motion) -> Volume:
        """Put the motion into the canonical volume: one resample. Source batch: 1 or motion's."""
        delta = self.warp_driver(self._dyn_map(motion), source.identity)
        return sample_volume(source.volume, driven_grid(motion.pose, delta))

    def decode(self, source: Source, motion: Motion) -> Image:
        """One image per motion, float32 in [0, 1]: all that runs per frame."""
        return self.decoder(self.drive(source, motion))

    def transfer(self, source_image: Image, pose_image: Image, dyn_image: Image) -> Image:
        """The source's face with the head pose of one image and the dynamics of another."""
        pose = self.encode_motion(pose_image).pose
        dyn = self.encode_motion(dyn_image).dyn
        return self.decode(self.encode_source(source_image), Motion(pose, dyn))

    def _dyn_map(self, motion: Motion) -> Float[Array, "b s s c"]:
        s, e = self.config.embed_size, self.config.embed_channels
        return self.embed(motion.dyn).reshape(-1, s, s, e)


def parameter_table(config: FaceConfig) -> dict[str, int]:
    """Number of parameters of each part and in "total", from shapes alone."""
    size = config.image_size
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    init: Callable = FaceModel(config).init
    params = jax.eval_shape(init, jax.random.key(0), image, image)["params"]
    parts = {
        "appearance": ("appearance",),
        "identity": ("identity",),
        "dyn": ("dyn",),
        "pose": ("pose",),
        "embed": ("embed",),
        "warps": ("warp_source", "warp_driver"),
        "canonical": ("canonical",),
        "decoder": ("decoder",),
    }
    table = {
        name: sum(math.prod(x.shape) for k in keys for x in jax.tree.leaves(params[k]))
        for name, keys in parts.items()
    }
    return table | {"total": sum(table.values())}
